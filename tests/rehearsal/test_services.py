"""An ECS service as it is played: desired count, health, replacement, restarts, the circuit breaker, and the entry."""

from __future__ import annotations

import http.client
import uuid

import pytest

from matinee.testing.harness import wait_until


@pytest.fixture
def serve(hands, world):
    """Make a service behind a target group; end it after the test."""
    ecs, elb, made = hands.client("ecs"), world.clients("elbv2"), []

    def start(definition, count=1, path="/health"):
        name = f"ui-{uuid.uuid4().hex[:6]}"
        group = elb.create_target_group(
            Name=name, Protocol="HTTP", Port=8501, VpcId="vpc-1", TargetType="ip", HealthCheckPath=path
        )["TargetGroups"][0]["TargetGroupArn"]
        balancer = {"targetGroupArn": group, "containerName": "worker", "containerPort": 8501}
        ecs.create_service(
            cluster="app", serviceName=name, taskDefinition=definition, desiredCount=count, loadBalancers=[balancer]
        )
        made.append(name)
        return name

    yield start
    for name in made:
        ecs.delete_service(cluster="app", service=name, force=True)
    wait_until(lambda: not any(s.name in made for s in world.services), what="the end of the services")


@pytest.fixture
def server(hands):
    def define(version, script="", **more):
        return hands.definition(
            script or hands.server,
            family="ui-under-test",
            portMappings=[{"containerPort": 8501}],
            environment=[{"name": "VERSION", "value": version}],
            stopTimeout=1,
            **more,
        )

    return define


def ask(world, cookie="", path="/"):
    """Return what a person sees at the entry, and the cookie they keep."""
    connection = http.client.HTTPConnection("127.0.0.1", world.entry.port, timeout=5)
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return said, (answer.getheader("Set-Cookie") or cookie).partition(";")[0], answer.status


def steady(world, name, count):
    def now():
        service = world.services.get(name)
        return service if service and service.is_steady and service.desired == count else None

    return wait_until(now, what=f"{count} healthy tasks")


def test_two_people_on_two_tasks_stay_with_their_own(world, serve, server):
    name = serve(server("v1"), count=2)
    steady(world, name, 2)
    ada, ben = ask(world), ask(world)
    assert ada[0] != ben[0], "the second person is sent to the other task"
    for person in (ada, ben):
        assert {ask(world, person[1])[0] for _ in range(3)} == {person[0]}


def test_a_dead_task_is_replaced_and_its_people_go_to_the_new_one(world, serve, server):
    service = steady(world, serve(server("v1")), 1)
    (replica,) = service.replicas.values()
    said, cookie, _ = ask(world)
    replica.task._running.kill()
    wait_until(lambda: replica.task.arn not in service.replicas and service.is_steady, what="a new task")
    again, moved, _ = ask(world, cookie)
    assert (again != said, moved != cookie) == (True, True)


def test_a_new_definition_serves_before_the_old_tasks_end(world, hands, serve, server):
    name = serve(server("v1"))
    service = steady(world, name, 1)
    (old,) = service.replicas.values()
    hands.client("ecs").update_service(cluster="app", service=name, taskDefinition=server("v2"))
    seen = set()

    def replaced():
        said, _, status = ask(world)
        seen.add((status, said.split()[0]))
        return old.task.is_stopped and service.is_steady

    wait_until(replaced, what="the replacement")
    assert seen == {(200, "v1"), (200, "v2")}, "somebody always answered"
    assert old.task.state.reason == "Service deployment replaced it"


def test_what_never_becomes_healthy_is_taken_back_by_the_circuit_breaker(world, hands, serve, server):
    name = serve(server("v1"))
    service = steady(world, name, 1)
    bad = server("bad", script="raise SystemExit('no such module')")
    hands.client("ecs").update_service(cluster="app", service=name, taskDefinition=bad)
    wait_until(lambda: service.rollout == "FAILED" or service.definition != bad, what="failures")
    wait_until(lambda: service.rollout == "COMPLETED" and service.is_steady, what="the way back")
    assert ask(world)[0].startswith("v1")


def test_scaling_to_nothing_leaves_a_word_at_the_entry(world, hands, serve, server):
    name = serve(server("v1"))
    steady(world, name, 1)
    hands.client("ecs").update_service(cluster="app", service=name, desiredCount=0)
    steady(world, name, 0)
    said, _, status = ask(world)
    assert status == 503
    assert "Nobody serves this app yet" in said
