"""Deploy an app to the user's own AWS account, and take it away again.

`pipeline` opens with the map of a deployment. CloudFormation is the planner and executor, and `stack_changes` drives
it; what it cannot do is done beside it: images, function versions, the release. Commands: `pipeline` (deploy, push),
`plan`, `releases` (rollback, versions), `destroy`. What they are made with is `cloud.Tools`: a rehearsal runs the very
same on an emulated AWS.
"""
