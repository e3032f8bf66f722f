"""Where a component's code runs: the present interpreter, or a virtual environment of its own made by uv.

`prepare(component)` finds or makes it; `inspect.inspect_app(project)` asks every component there what it holds.
"""
