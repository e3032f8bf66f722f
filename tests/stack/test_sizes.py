"""Sizes and limits that AWS has are said before anything is built; ids are stable and never shared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matinee.errors import ProjectError
from matinee.manifest import ComponentManifest, PredictorManifest, Resources
from matinee.project.aws import UiSize
from matinee.stack.blueprint import (
    FARGATE_MB,
    FargateSize,
    check_predictor,
    fargate_size,
    is_fargate_size,
    logical,
    nearest_sizes,
    problems,
    shortened,
)


def predictor(kind, **resources):
    return PredictorManifest("work", kind, "work", "", {}, {}, Resources(**resources))


def said(call, *arguments):
    with pytest.raises(ProjectError) as caught:
        call(*arguments)
    return caught.value.message, caught.value.hint


def test_a_size_that_fargate_does_not_have_is_refused_with_the_nearest_ones():
    message, hint = said(check_predictor, predictor("batch", cpu=0.25, memory_mb=3000))
    assert message == "The predictor work asks for cpu = 0.25 with memory_mb = 3000, and Fargate has no such size."
    assert hint == "Nearest: cpu = 0.5 with memory_mb = 3072 or cpu = 0.25 with memory_mb = 2048."


def test_what_is_larger_than_fargate_s_largest_is_offered_that():
    _, hint = said(check_predictor, predictor("batch", cpu=32, memory_mb=200_000))
    assert hint == "Nearest: cpu = 16 with memory_mb = 122880."


@pytest.mark.parametrize("cpu", FARGATE_MB)
def test_every_size_fargate_has_is_taken(cpu):
    for memory in FARGATE_MB[cpu]:
        check_predictor(predictor("batch", cpu=cpu, memory_mb=memory))
        assert is_fargate_size(cpu, memory) and nearest_sizes(cpu, memory) == (FargateSize(cpu, memory),) * 2


def test_memory_above_lambda_s_says_make_it_batch():
    message, hint = said(check_predictor, predictor("realtime", memory_mb=10_241))
    assert message == "The realtime predictor work asks for memory_mb = 10241; AWS Lambda has at most 10,240 MB."
    assert hint.startswith("Make it batch: @batch instead of @realtime")
    check_predictor(predictor("realtime", memory_mb=10_240))


def test_a_timeout_above_lambda_s_says_make_it_batch():
    message, hint = said(check_predictor, predictor("realtime", timeout_s=900.5))
    assert message == "The realtime predictor work asks for timeout_s = 900.5; AWS Lambda has at most 900 s."
    assert hint.startswith("Make it batch")
    check_predictor(predictor("realtime", timeout_s=900))


def test_a_gpu_on_realtime_says_make_it_batch():
    message, hint = said(check_predictor, predictor("realtime", gpu=1))
    assert message == "The realtime predictor work asks for gpu = 1; AWS Lambda has none."
    assert hint.startswith("Make it batch")


def test_workers_with_a_gpu_are_free_of_fargate_s_sizes():
    check_predictor(predictor("batch", gpu=1, cpu=3, memory_mb=15_000))


@pytest.mark.parametrize(
    ("memory_mb", "size"), [(128, (0.25, 512)), (3008, (0.5, 3072)), (10_240, (2.0, 10_240)), (8192, (1.0, 8192))]
)
def test_rows_of_a_realtime_predictor_are_worked_off_by_the_smallest_task_with_its_memory(memory_mb, size):
    assert fargate_size(predictor("realtime", memory_mb=memory_mb)) == FargateSize(*size)


def test_everything_that_does_not_fit_is_told_at_once_the_ui_s_size_too():
    found = problems(UiSize(cpu=0.25, memory_mb=4096), [predictor("batch", cpu=9), predictor("realtime")])
    assert [error.message.partition(" asks")[0] for error in found] == ["[aws.ui]", "The predictor work"]
    assert problems(UiSize(), [predictor("batch"), predictor("realtime")]) == []


def test_logical_ids_are_readable_and_never_the_same_for_two_names():
    assert logical("plan_days") == "PlanDays"
    names = ["plan", "Plan", "PLAN", "plan_", "_plan", "p_lan", "plan_1", "plan1", "plan-1", "pl_an", "planX", "plan_x"]
    assert len({logical(name) for name in names}) == len(names)
    assert all(logical(name).isalnum() for name in names)


def test_a_role_s_name_is_shortened_by_a_digest():
    assert shortened("x" * 64) == "x" * 64
    long, longer = shortened("x" * 65), shortened("x" * 66)
    assert len(long) == len(longer) == 64 and long != longer


def test_an_image_of_a_component_with_a_gpu_is_x86(make):
    b = make()
    training = replace(predictor("batch", gpu=1, cpu=4, memory_mb=16_000), component="train")
    b = replace(b, components=(*b.components, ComponentManifest("train", "d" * 16, "v1", (training,))))
    assert [b.architecture(name) for name in ("train", "plan", "matinee-ui")] == ["x86_64", "arm64", "arm64"]
