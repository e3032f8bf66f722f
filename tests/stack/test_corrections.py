"""What AWS does differently from what one would think, one test each, as far as templates have a say.

The others of the nineteen are held where they act: in the deployment, the runtime and the adapters.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import uvicorn

from matinee.errors import ProjectError
from matinee.project.aws import DAYS, OfficeHours
from matinee.project.load import load
from matinee.stack.templates import app_template, data_template, edge_template, network_template
from matinee.ui import serve

HOURS = {"office_hours": OfficeHours(DAYS[:5], "08:00", "18:00", "Europe/Berlin")}


def of_type(template, kind):
    return {title: r for title, r in template["Resources"].items() if r["Type"] == kind}


def the(template, kind):
    [found] = of_type(template, kind).values()
    return found["Properties"]


def all_of(b):
    return [t for t in (network_template(), data_template(b), app_template(b), edge_template(b)) if t]


def containers(template):
    return [
        (title, container)
        for title, definition in of_type(template, "AWS::ECS::TaskDefinition").items()
        for container in definition["Properties"]["ContainerDefinitions"]
    ]


def test_correction_01_versions_are_the_tool_s_and_the_alias_is_made_once_and_never_changed_here(make):
    b = make()
    template = app_template(b)
    assert not of_type(template, "AWS::Lambda::Version")
    functions, aliases = of_type(template, "AWS::Lambda::Function"), of_type(template, "AWS::Lambda::Alias")
    assert {alias["Properties"]["FunctionName"]["Ref"] for alias in aliases.values()} == set(functions)
    newer = replace(b, components=tuple(replace(c, hash="f" * 16, label="v9") for c in b.components))
    assert app_template(newer) == template, "a new version is told by parameters alone"
    for alias in aliases.values():
        assert alias["Properties"] | {"FunctionName": ""} == {
            "FunctionName": "",
            "FunctionVersion": "$LATEST",
            "Name": "live",
        }


def test_correction_02_definitions_stay_registered_for_releases_that_come_back(make_gpu):
    template = app_template(make_gpu())
    for kind in ("AWS::ECS::TaskDefinition", "AWS::Batch::JobDefinition"):
        found = of_type(template, kind)
        assert found
        for definition in found.values():
            assert (definition["DeletionPolicy"], definition["UpdateReplacePolicy"]) == ("Retain", "Retain")
    job = the(template, "AWS::Batch::JobDefinition")
    assert job["ResourceRetentionPolicy"] == {"SkipDeregisterOnUpdate": True}


def test_correction_03_the_edge_can_go_before_what_it_holds_on_to(make):
    b = make()
    assert the(edge_template(b), "AWS::CloudFront::VpcOrigin")
    for template in (network_template(), data_template(b), app_template(b)):
        assert not [r for r in template["Resources"].values() if r["Type"].startswith("AWS::CloudFront")]


def test_correction_04_table_and_bucket_are_kept_whatever_becomes_of_the_stack(make):
    template = data_template(make())
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::Logs::LogGroup"):
        for resource in of_type(template, kind).values():
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
            assert resource["UpdateReplacePolicy"] == "Retain"
    rules = the(template, "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert {"DaysAfterInitiation": 1} in [rule.get("AbortIncompleteMultipartUpload") for rule in rules]


def test_correction_05_a_fresh_account_is_asked_for_nothing_it_may_be_refused(make):
    template = app_template(make())
    for function in of_type(template, "AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in function["Properties"]
    assert "ProvisionedConcurrency" not in json.dumps(template), "the tool sets it, where the quota allows"
    assert edge_template(make({"edge": "alb"})) is None, "an app lives without CloudFront"


def test_correction_06_the_first_task_of_the_ui_is_on_demand_and_the_others_on_spot(make):
    def strategy(b):
        return the(app_template(b), "AWS::ECS::Service")["CapacityProviderStrategy"]

    first = {"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1}
    assert strategy(make()) == [first, {"CapacityProvider": "FARGATE_SPOT", "Weight": 100}]
    assert strategy(make({"spot": False})) == [first]
    cluster = the(app_template(make({"spot": False})), "AWS::ECS::Cluster")
    assert cluster["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"], "a provider in use cannot be taken away"


def test_correction_07_how_many_tasks_there_are_is_left_to_the_scaling(make):
    for aws in ({}, HOURS, {"ui": {"max": 1}}, {"edge": "alb"}):
        service = the(app_template(make(aws)), "AWS::ECS::Service")
        assert not {"DesiredCount", "LaunchType"} & service.keys()
    target = the(app_template(make(HOURS)), "AWS::ApplicationAutoScaling::ScalableTarget")
    wake, sleep = target["ScheduledActions"]
    assert wake["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 3}, "target tracking cannot leave zero"
    assert sleep["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}
    assert wake["Schedule"] == "cron(0 8 ? * MON,TUE,WED,THU,FRI *)"
    assert {wake["Timezone"], sleep["Timezone"]} == {"Europe/Berlin"}
    config = the(edge_template(make(HOURS)), "AWS::CloudFront::Distribution")["DistributionConfig"]
    [asleep] = config["CustomErrorResponses"]
    assert (asleep["ErrorCode"], asleep["ResponsePagePath"]) == (503, "/edge/sleeping.html")
    assert [b["TargetOriginId"] for b in config["CacheBehaviors"] if b["PathPattern"] == "/edge/*"] == ["pages"]


def test_correction_08_roots_are_read_only_and_tmp_is_a_volume(make):
    template = app_template(make())
    for title, container in containers(template):
        definition = template["Resources"][title]["Properties"]
        assert container["ReadonlyRootFilesystem"] is True
        assert container["MountPoints"] == [{"SourceVolume": "scratch", "ContainerPath": "/tmp", "ReadOnly": False}]
        assert definition["Volumes"] == [{"Name": "scratch"}], "Fargate has no tmpfs; the image's VOLUME has its owner"
        assert "Tmpfs" not in container["LinuxParameters"]
        assert container["StopTimeout"] == 120


def test_correction_09_nobody_hangs_up_on_who_is_about_to_speak(make):
    attributes = the(app_template(make()), "AWS::ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"]
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "130"} in attributes
    config = the(edge_template(make()), "AWS::CloudFront::Distribution")["DistributionConfig"]
    default = config["DefaultCacheBehavior"]
    assert set(default["AllowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
    assert default["OriginRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3", "AllViewer: Host is forwarded"
    assert default["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "nothing is kept"
    [origin] = config["Origins"]
    assert 30 < origin["VpcOriginConfig"]["OriginReadTimeout"] <= 120


def test_correction_09_the_ui_s_server_keeps_a_silent_connection_longer_than_the_load_balancer(make, monkeypatch):
    made = []
    monkeypatch.setenv("MATINEE_TRUSTED_PROXIES", "10.0.0.0/16")
    monkeypatch.setattr(serve, "application", lambda *_: None)
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets=None: made.append(server.config))
    with pytest.raises(SystemExit):
        serve.serve("127.0.0.1", 0)
    balancer = the(app_template(make()), "AWS::ElasticLoadBalancingV2::LoadBalancer")
    told = {one["Key"]: one["Value"] for one in balancer["LoadBalancerAttributes"]}
    assert made[0].timeout_keep_alive > int(told["idle_timeout.timeout_seconds"])


def test_correction_09_the_certificate_of_cloudfront_is_in_us_east_1(tmp_path):
    (tmp_path / "work.py").write_text("from matinee import realtime\n\n@realtime\ndef work() -> int: ...\n")
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/abc"
    written = f'[aws]\ndomain = "a.example.com"\ncertificate = "{certificate}"\n'
    (tmp_path / "matinee.toml").write_text(written)
    with pytest.raises(ProjectError, match=r"line 3: aws.certificate must be in us-east-1 for CloudFront"):
        load(tmp_path)
    (tmp_path / "matinee.toml").write_text(written + 'edge = "alb"\n')
    assert load(tmp_path).aws.certificate == certificate


def test_correction_10_a_vpc_origin_has_its_gateway_and_zones_that_are_chosen(make):
    network = network_template(2)
    assert the(network, "AWS::EC2::VPCGatewayAttachment")
    assert network["Parameters"]["Zones"]["Type"] == "List<AWS::EC2::AvailabilityZone::Name>"
    zones = [s["Properties"]["AvailabilityZone"] for s in of_type(network, "AWS::EC2::Subnet").values()]
    assert zones == [{"Fn::Select": [0, {"Ref": "Zones"}]}, {"Fn::Select": [1, {"Ref": "Zones"}]}]
    origin = the(edge_template(make()), "AWS::CloudFront::VpcOrigin")["VpcOriginEndpointConfig"]
    assert (origin["HTTPPort"], origin["OriginProtocolPolicy"]) == (80, "http-only")
    assert the(app_template(make()), "AWS::ElasticLoadBalancingV2::LoadBalancer")["Scheme"] == "internal"


def test_correction_11_secrets_are_named_and_never_held(make):
    b = make()
    called = replace(b.components[0].predictors[0], resources=replace(b.predictors[0].resources, secrets=("API_KEY",)))
    b = replace(b, components=(replace(b.components[0], predictors=(called,)), *b.components[1:]))
    template = app_template(b)
    text = json.dumps([data_template(b), template])
    assert "resolve:" not in text and "AWS::SSM::Parameter" not in text
    function = template["Resources"]["FunctionRecommend"]["Properties"]["Environment"]["Variables"]
    assert function["MATINEE_SECRETS"] == "API_KEY=/matinee/shop/dev/API_KEY"
    secrets = dict(containers(template))["DefinitionRecommend"]["Secrets"]
    where = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/matinee/shop/dev/API_KEY"
    assert secrets == [{"Name": "API_KEY", "ValueFrom": {"Fn::Sub": where}}]


def test_correction_15_the_clock_and_tasks_that_stop_call_the_dispatcher(make):
    template = app_template(make())
    schedules = of_type(template, "AWS::Scheduler::Schedule")
    assert set(schedules) == {"BackstopSchedule", "ScheduleWeeklyReport"}
    report = schedules["ScheduleWeeklyReport"]["Properties"]
    assert report["ScheduleExpression"] == "rate(1 day)"
    assert json.loads(report["Target"]["Input"]) == {
        "predictor": "weekly_report",
        "scheduled": "<aws.scheduler.scheduled-time>",
    }
    pattern = the(template, "AWS::Events::Rule")["EventPattern"]
    assert pattern["detail-type"] == ["ECS Task State Change"]
    assert pattern["detail"]["lastStatus"] == ["STOPPED"]
    assert pattern["detail"]["group"] == [{"prefix": "matinee:"}], "of workers; the UI's tasks are the service's"
    for target in [report["Target"]["Arn"], *(t["Arn"] for t in the(template, "AWS::Events::Rule")["Targets"])]:
        assert target == {"Ref": "DispatcherAlias"}


def test_correction_16_workers_with_a_gpu_run_on_managed_instances(make_gpu):
    template = app_template(make_gpu())
    job = the(template, "AWS::Batch::JobDefinition")
    assert (job["Type"], job["PlatformCapabilities"]) == ("container", ["MANAGED_INSTANCES"])
    [task] = job["EcsProperties"]["TaskProperties"]
    assert task["NetworkMode"] == "host" and "NetworkConfiguration" not in task
    [container] = task["Containers"]
    assert {"Type": "GPU", "Value": "1"} in container["ResourceRequirements"]
    assert container["User"] != "root" and container["Name"] == "worker"
    machines = the(template, "AWS::Batch::ComputeEnvironment")["ComputeResources"]
    assert machines["Type"] == "ECS_MANAGED_INSTANCES"
    provider = machines["ManagedInstancesProvider"]
    assert provider["InfrastructureRoleArn"] == {"Fn::GetAtt": ["InfrastructureRole", "Arn"]}
    trust = template["Resources"]["InfrastructureRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust[0]["Principal"] == {"Service": "ecs.amazonaws.com"}
    assert provider["InstanceLaunchTemplate"]["Ec2InstanceProfileArn"] == {"Fn::GetAtt": ["InstanceProfile", "Arn"]}
    for subnet in of_type(network_template(), "AWS::EC2::Subnet").values():
        assert subnet["Properties"]["MapPublicIpOnLaunch"] is True
    assert "DefinitionTrain" not in of_type(template, "AWS::ECS::TaskDefinition")


def test_correction_18_the_budget_counts_by_one_tag_that_everything_has(make):
    template = app_template(make({"budget_usd": 40, "alarms_to": "me@example.com"}))
    budget = the(template, "AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 40, "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:matinee:name$matinee-shop-dev"]}
    kinds = [n["Notification"]["NotificationType"] for n in budget["NotificationsWithSubscribers"]]
    assert kinds == ["ACTUAL", "FORECASTED"]


def test_correction_19_stacks_are_told_names_and_lock_one_another_in_no_way(make_gpu):
    for aws in ({}, HOURS, {"edge": "alb"}, {"alarms_to": "me@example.com"}):
        for template in all_of(make_gpu(aws)):
            text = json.dumps(template)
            assert "Fn::ImportValue" not in text
            assert not any("Export" in output for output in template["Outputs"].values())
            assert "logs:CreateLogGroup" not in text and "logs:*" not in text
    policy = the(data_template(make_gpu()), "AWS::ECR::Repository")["RepositoryPolicyText"]["Statement"]
    assert [statement["Principal"] for statement in policy] == [{"Service": "lambda.amazonaws.com"}]
    source = policy[0]["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert source.endswith(":function:matinee-shop-dev-*")


def test_another_edge_gets_a_target_group_of_its_own_for_none_can_belong_to_two_load_balancers(make):
    """The new load balancer is made before the old one goes, and both need a group for their listener."""
    groups = {}
    for edge in ("cloudfront", "alb"):
        template = app_template(make({"edge": edge, "alarms_to": "me@example.com"}))
        [groups[edge]] = of_type(template, "AWS::ElasticLoadBalancingV2::TargetGroup")
        listener = the(template, "AWS::ElasticLoadBalancingV2::Listener")
        assert listener["DefaultActions"][0]["TargetGroupArn"] == {"Ref": groups[edge]}
        assert f'"{groups[edge]}"' in json.dumps(template["Resources"]["UiAlarm"])
    assert groups == {"cloudfront": "TargetGroup", "alb": "PublicTargetGroup"}


def test_a_listener_keeps_its_port_when_a_certificate_comes_or_goes(make):
    """CloudFormation makes and changes at once: no second listener may want a port that the first still has."""
    own = {"domain": "app.example.com", "certificate": "arn:aws:acm:eu-central-1:111122223333:certificate/1"}

    def listeners(**aws):
        found = of_type(app_template(make({"edge": "alb", **aws})), "AWS::ElasticLoadBalancingV2::Listener")
        told = {title: r["Properties"] for title, r in found.items()}
        return {title: (p["Port"], p["DefaultActions"][0]["Type"]) for title, p in told.items()}

    assert listeners() == {"Listener": (80, "forward")}
    assert listeners(**own) == {"Listener": (80, "redirect"), "HttpsListener": (443, "forward")}
    for aws, title in (({}, "Listener"), (own, "HttpsListener")):
        assert app_template(make({"edge": "alb", **aws}))["Resources"]["UiService"]["DependsOn"] == title


def test_who_is_told_of_money_can_change_though_a_budget_with_a_name_cannot_be_replaced(make):
    def name(to):
        template = app_template(make({"budget_usd": 40, "alarms_to": to}))
        return the(template, "AWS::Budgets::Budget")["Budget"]["BudgetName"]

    assert name("me@example.com") == name("me@example.com") != name("you@example.com")
    assert name("me@example.com").startswith("matinee-shop-dev-")


def test_a_schedule_goes_by_the_clock_of_its_time_zone(make):
    b = make()
    (report,) = b.scheduled
    zoned = replace(report, resources=replace(report.resources, timezone="Europe/Berlin"))
    components = tuple(
        replace(c, predictors=tuple(zoned if p == report else p for p in c.predictors)) for c in b.components
    )
    schedules = of_type(app_template(replace(b, components=components)), "AWS::Scheduler::Schedule")
    zones = {name: found["Properties"]["ScheduleExpressionTimezone"] for name, found in schedules.items()}
    assert zones == {"BackstopSchedule": "UTC", "ScheduleWeeklyReport": "Europe/Berlin"}
