"""Every total of `matinee cost` equals a formula written here, over the prices of `matinee.prices`."""

from __future__ import annotations

import pytest

from matinee import prices
from matinee.cost import IDLE, TEMPLATE, Line, Usage, bill_of, compared, monthly_cost, templates_of
from matinee.manifest import ComponentManifest, PredictorManifest, Resources
from matinee.project.aws import Capacity, OfficeHours
from matinee.stack.inventory import COSTS_NOTHING, PRICED, awake_hours, take

H = 730
TICKS = 60 * H  # of the dispatcher, one a minute
TICKS_GB = TICKS * 0.6 / 1024**2  # of its log lines, kept for a month
WEEK = OfficeHours(("MON", "TUE", "WED", "THU", "FRI"), "08:00", "18:00", "Europe/Berlin")


def money(value):
    return pytest.approx(value, rel=1e-9)


def usd(amount, price):
    """What `amount` costs beyond what is free."""
    return max(0.0, amount - price.free) * price.usd


def ui(hours=H, vcpu=prices.FARGATE_ARM_VCPU_H, gb=prices.FARGATE_ARM_GB_H, size=(0.25, 0.5)):
    return hours * (size[0] * vcpu.usd + size[1] * gb.usd)


def always(images=3):
    """What every layout has: the table is read by the dispatcher each minute, images are kept."""
    return (
        TICKS * 4 * prices.DYNAMODB_READ.usd
        + TICKS_GB * prices.LOG_KEPT_GB.usd
        + images * 5 * 0.3 * prices.IMAGE_GB.usd
    )


def test_the_default_layout_idle_is_a_small_task_its_address_and_an_internal_load_balancer(make):
    expected = ui() + H * prices.ADDRESS_H.usd + H * prices.BALANCER_H.usd + always()
    bill = bill_of(make(), IDLE)
    assert bill.total_usd == money(expected)
    assert bill.total_usd == sum(line.usd for line in bill.lines)
    assert bill.total_usd - always() == pytest.approx(27.28, abs=0.005)  # "about $27"


def test_fifty_hours_a_week_cost_that_share_of_the_task_and_its_address_but_the_whole_load_balancer(make):
    hours = H * 50 / 168
    expected = ui(hours) + hours * prices.ADDRESS_H.usd + H * prices.BALANCER_H.usd + always()
    bill = bill_of(make(office_hours=WEEK), IDLE)
    assert bill.total_usd == money(expected)
    assert bill.total_usd - always() == pytest.approx(19.66, abs=0.005)  # "$20"
    assert any(line.note == "awake 217 of 730 h" for line in bill.lines)


def test_a_public_load_balancer_has_an_address_in_each_of_its_two_subnets_however_many_the_network_has(make):
    expected = ui() + H * prices.ADDRESS_H.usd + H * prices.BALANCER_H.usd + 2 * H * prices.ADDRESS_H.usd + always()
    assert bill_of(make(edge="alb"), IDLE).total_usd == money(expected)
    own = make(edge="alb", vpc="vpc-1", subnets=("subnet-1", "subnet-2", "subnet-3"))
    assert bill_of(own, IDLE).total_usd == money(expected)


def test_alarms_are_counted_as_they_are_made_and_metrics_as_they_are_written(make):
    lines = {line.item: line.quantity for line in bill_of(make(alarms_to="me@example.com"), IDLE).lines}
    assert lines["alarms"] == 2 + 4 + 2 * 2, "two of the function, four of the app, two for each way to scale"
    assert lines["metrics made of log lines"] == 2, "a filter for each predictor writes the same metric"


def test_log_lines_are_kept_for_as_long_as_the_groups_say(make):
    def kept(**aws):
        [line] = [line for line in bill_of(make(**aws), Usage()).lines if line.item == "log lines kept"]
        return line.quantity

    assert kept(log_retention_days=90) == money(3 * kept())


def test_the_month_is_what_is_paid_idle_and_what_use_adds(make):
    report = compared(make(), Usage())
    assert report.idle_usd == bill_of(make(), IDLE).total_usd
    assert report.bill.total_usd == money(report.idle_usd + report.use_usd)
    assert 0 < report.use_usd < 1 < report.idle_usd


def test_x86_instead_of_arm_and_a_larger_ui_of_three_tasks_two_of_them_on_spot(make):
    each = ui(vcpu=prices.FARGATE_VCPU_H, gb=prices.FARGATE_GB_H, size=(0.5, 1))
    tasks = each + 2 * each * prices.SPOT_SHARE.usd + 3 * H * prices.ADDRESS_H.usd
    aws = {"architecture": "x86_64", "ui": {"cpu": 0.5, "memory_mb": 1024, "min": 3}}
    assert bill_of(make(**aws), IDLE).total_usd == money(tasks + H * prices.BALANCER_H.usd + always())
    on_demand = 3 * each + 3 * H * prices.ADDRESS_H.usd
    assert bill_of(make(**aws, spot=False), IDLE).total_usd == money(on_demand + H * prices.BALANCER_H.usd + always())


def test_provisioned_capacity_of_the_table_counts_its_three_indexes_too(make):
    units = 4 * H * (2 * prices.DYNAMODB_READ_H.usd + 3 * prices.DYNAMODB_WRITE_H.usd)
    expected = ui() + H * (prices.ADDRESS_H.usd + prices.BALANCER_H.usd) + units + 3 * 5 * 0.3 * prices.IMAGE_GB.usd
    expected += TICKS_GB * prices.LOG_KEPT_GB.usd
    assert bill_of(make(table=Capacity(2, 3)), IDLE).total_usd == money(expected)


def test_a_month_of_use_is_the_sum_of_its_parts(make):
    use = Usage(users=2_000, predictions=2_000_000, runs=1_000, prediction_s=2.0, run_s=600.0)
    calls = usd(2_000_000 + TICKS + 2 * 1_000, prices.LAMBDA_REQUEST)
    # rows of recommend have workers too: half of the runs each
    gb_s = usd(2_000_000 * 0.5 * 2.0 + TICKS * 0.5 * 0.2, prices.LAMBDA_ARM_GB_S)
    hours = 1_000 / 2 * (600 + 60) / 3600
    workers = (
        prices.SPOT_SHARE.usd * (ui(hours, size=(0.25, 0.5)) + ui(hours, size=(1, 2)))
        + 2 * hours * prices.ADDRESS_H.usd
    )
    writes = (
        2_000_000 * prices.REALTIME_WRITES + 1_000 * prices.BATCH_WRITES + 1_000 * 600 / prices.HEARTBEAT_S
    ) * prices.DYNAMODB_WRITE.usd
    reads = (TICKS * 4 + 2_000 * 20_000) * prices.DYNAMODB_READ.usd
    kept_gb = 2_000_000 * 10 / 1024**2 + 1_000 * 1 / 1024
    kept = usd(kept_gb / 2, prices.DYNAMODB_GB) + kept_gb / 2 * (prices.DYNAMODB_RECOVERY_GB.usd + prices.S3_GB.usd)
    out = usd(1_000 * 1 / 1024, prices.DATA_OUT_GB)
    files = out + (2_000_000 + 2_000) * prices.S3_PUT.usd + (4_000_000 + 4_000) * prices.S3_GET.usd
    log_gb = 2_000_000 * 2 / 1024**2 + 1_000 * 0.1 / 1024 + TICKS_GB + 2_000 * 1 / 1024
    logs = usd(log_gb, prices.LOG_IN_GB) + log_gb * prices.LOG_KEPT_GB.usd
    sent_gb = 2_000 * 100 / 1024
    pages = (
        usd(sent_gb, prices.CLOUDFRONT_GB)
        + usd(2_000 * 2_000, prices.CLOUDFRONT_REQUEST)
        + sent_gb * prices.BALANCER_LCU_H.usd
    )
    idle = ui() + H * (prices.ADDRESS_H.usd + prices.BALANCER_H.usd) + 3 * 5 * 0.3 * prices.IMAGE_GB.usd
    bill = bill_of(make(), use)
    assert bill.of("batch") == money(workers)
    assert bill.of("realtime") == money(calls + gb_s)
    assert bill.of("files") + bill.of("table") == money(writes + reads + kept + files)
    assert bill.of("logs") == money(logs)
    assert bill.total_usd == money(idle + calls + gb_s + workers + writes + reads + kept + files + logs + pages)


def test_a_function_that_is_kept_warm_costs_by_its_memory_and_a_worker_with_a_gpu_its_machine(make):
    warm = PredictorManifest("chat", "realtime", "chat", "", {}, {}, Resources(memory_mb=2048, provisioned=3))
    train = PredictorManifest("train", "batch", "train", "", {}, {}, Resources(gpu=1, cpu=4, memory_mb=16_000))
    components = (
        ComponentManifest("chat", "c" * 16, "v1", (warm,)),
        ComponentManifest("train", "d" * 16, "v1", (train,)),
    )
    bill = bill_of(make(components=components), Usage(users=0, predictions=0, runs=10, run_s=3540))
    lines = {line.item: line.usd for line in bill.lines}
    assert lines["matinee-shop-dev-chat kept warm, 3 of it"] == money(
        3 * 2 * H * 3600 * prices.LAMBDA_PROVISIONED_GB_S.usd
    )
    assert lines["workers with a GPU (g4dn.xlarge)"] == money(10 / 2 * prices.GPU_H.usd)  # half are rows of chat


def test_alarms_dashboards_and_metrics_beyond_the_free_ones_are_paid_for():
    many = {f"A{n}": {"Type": "AWS::CloudWatch::Alarm"} for n in range(12)}
    many |= {f"D{n}": {"Type": "AWS::CloudWatch::Dashboard"} for n in range(5)}
    many |= {f"M{n}": {"Type": "AWS::Logs::MetricFilter"} for n in range(11)}
    many |= {"S": {"Type": "AWS::SecretsManager::Secret"}, "P": {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy"}}
    many |= {"N": {"Type": "AWS::EC2::NatGateway"}, "Z": {"Type": "AWS::Route53::HostedZone"}}
    expected = (
        4 * prices.ALARM.usd
        + 2 * prices.DASHBOARD.usd
        + prices.METRIC.usd
        + prices.SECRET.usd
        + H * prices.NAT_H.usd
        + prices.ZONE.usd
    )
    assert monthly_cost([{"Resources": many}]).total_usd == money(expected)


def test_the_layout_of_2020_costs_four_times_what_its_document_claimed(make):
    x86 = ui(vcpu=prices.FARGATE_VCPU_H, gb=prices.FARGATE_GB_H)
    expected = x86 + H * prices.ADDRESS_H.usd + H * prices.BALANCER_H.usd + 2 * H * prices.ADDRESS_H.usd
    assert monthly_cost([TEMPLATE]).total_usd == money(expected)
    assert expected == pytest.approx(36.4, abs=0.05)
    assert compared(make(), IDLE).claimed_2020_usd == (8.88, 1.17)


def test_a_switch_saves_the_difference_of_two_bills(make):
    report = compared(make(), Usage())
    now = report.bill.total_usd
    assert now == report.default_usd
    by_line = {switch.line: switch for switch in report.switches}
    asleep = by_line['office_hours = { days = "MON-FRI", start = "08:00", end = "18:00" }']
    assert asleep.monthly_usd == money(bill_of(make(office_hours=WEEK), Usage()).total_usd)
    assert asleep.saves_usd == money(now - asleep.monthly_usd)
    assert by_line['edge = "alb"'].saves_usd < -7
    assert [switch.saves_usd for switch in report.switches] == sorted(
        (s.saves_usd for s in report.switches), reverse=True
    )


@pytest.mark.parametrize(
    "aws",
    [
        {},
        {"edge": "alb", "domain": "a.example.com", "hosted_zone": "Z1", "certificate": "arn:aws:acm:x"},
        {"office_hours": WEEK, "alarms_to": "a@example.com", "budget_usd": 30.0},
        {"vpc": "vpc-1", "subnets": ("subnet-1", "subnet-2"), "table": Capacity(1, 1), "dashboard": False},
    ],
)
def test_nothing_in_a_template_is_left_out_in_silence(make, aws):
    train = PredictorManifest("train", "batch", "train", "", {}, {}, Resources(gpu=1, cpu=4, memory_mb=16_000))
    blueprint = make(ComponentManifest("train", "d" * 16, "v1", (train,)), **aws)
    assert take(templates_of(blueprint)).unpriced == ()
    assert not PRICED & COSTS_NOTHING


def test_what_nobody_here_knows_is_named():
    bill = monthly_cost([{"Resources": {"Search": {"Type": "AWS::OpenSearchService::Domain"}}}])
    assert (bill.total_usd, bill.unpriced) == (0, ("AWS::OpenSearchService::Domain",))


@pytest.mark.parametrize(
    ("days", "start", "end", "hours"),
    [("MON-FRI", 8, 18, 50), ("MON-SUN", 0, 12, 84), ("SUN", 20, 23, 3), ("SAT,SUN", 9, 10, 2)],
)
def test_awake_hours_follow_from_the_scheduled_actions(days, start, end, hours):
    days = "*" if days == "MON-SUN" else days
    actions = [
        {"Schedule": f"cron(0 {start} ? * {days} *)", "ScalableTargetAction": {"MinCapacity": 1, "MaxCapacity": 3}},
        {"Schedule": f"cron(0 {end} ? * {days} *)", "ScalableTargetAction": {"MinCapacity": 0, "MaxCapacity": 0}},
    ]
    assert awake_hours(actions) == money(H * hours / 168)


def test_a_night_shift_is_awake_over_midnight_and_over_the_end_of_the_week():
    actions = [
        {"Schedule": "cron(0 22 ? * * *)", "ScalableTargetAction": {"MinCapacity": 1, "MaxCapacity": 1}},
        {"Schedule": "cron(0 6 ? * * *)", "ScalableTargetAction": {"MinCapacity": 0, "MaxCapacity": 0}},
    ]
    assert awake_hours(actions) == money(H * 8 / 24)
    assert awake_hours([]) == H


def test_every_price_has_a_date_and_a_source_and_says_whether_it_was_verified():
    table = {name: value for name, value in vars(prices).items() if isinstance(value, prices.Price)}
    assert len(table) >= 35
    for name, price in table.items():
        assert price.as_of == "November 2026", name
        assert price.source.startswith("aws.amazon.com/"), name
        assert price.usd >= 0, name
    unsure = {name for name, price in table.items() if not price.verified}
    assert {"LAMBDA_ARM_GB_S", "DYNAMODB_WRITE_H", "DYNAMODB_READ_H", "S3_GET", "GPU_H", "PARAMETER"} <= unsure
    assert not {"FARGATE_VCPU_H", "BALANCER_H", "ADDRESS_H", "LAMBDA_GB_S", "DYNAMODB_WRITE"} & unsure


def test_a_line_is_quantity_beyond_the_free_times_price_times_share():
    price = prices.Price(2.0, "thing", "aws.amazon.com/x", free=3)
    assert (Line("x", "y", 2.0, price).usd, Line("x", "y", 5.0, price).usd) == (0.0, 4.0)
    assert Line("x", "y", 5.0, price, share=0.5).usd == 2.0
