"""The public address: HTTPS by CloudFront, to the internal load balancer through a VPC origin. A stack of its own.

Its own, because a fresh account may be refused CloudFront, and because a VPC origin must go before the load balancer.
Everything but `/static/*` is forwarded whole (WebSockets want that, and Streamlit compares Origin with Host).
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
"""

from __future__ import annotations

import html
import json
from typing import Any

from troposphere import GetAtt, Join, Ref, Sub, cloudfront, route53

from matinee.project.aws import DAYS, OfficeHours
from matinee.stack import blueprint
from matinee.stack.blueprint import Blueprint, tags_of
from matinee.stack.builder import Sheet

# AWS's own policies, the same in all accounts:
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"
CLOUDFRONT_ZONE = "Z2FDTNDATAQYW2"  # the hosted zone of all distributions
ALL_METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]  # an upload is a PUT
READ_S = 60  # how long CloudFront waits for an answer: longest without a raised quota
KEEP_ALIVE_S = 60
# The answers of which CloudFront can show a page of its own; any other passes as it is:
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
CUSTOM_ERROR_CODES = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)
_APP, _PAGES = "app", "pages"


def template(b: Blueprint) -> dict[str, Any]:
    """Return the edge's template."""
    sheet = Sheet(f"Matinee: the address of {b.title} ({b.names.stage})", blueprint.edge_parameters(b), tags_of(b))
    origin = sheet.add(
        cloudfront.VpcOrigin(
            "VpcOrigin",
            VpcOriginEndpointConfig=cloudfront.VpcOriginEndpointConfig(
                Name=b.names.base,
                Arn=Ref(blueprint.BALANCER),
                HTTPPort=80,
                OriginProtocolPolicy="http-only",  # inside the network; HTTPS would want a certificate for each Host
            ),
        )
    )
    access = sheet.add(_access(b)) if b.aws.office_hours else None
    distribution = sheet.add(cloudfront.Distribution("Distribution", DistributionConfig=_config(b, origin, access)))
    _record(sheet, b, distribution)
    host = b.aws.domain or GetAtt(distribution, "DomainName")
    sheet.give(blueprint.URL, Join("", ["https://", host]), "Where people open the app")
    sheet.give("Distribution", Ref(distribution), "The distribution")
    return sheet.done()


def _config(b: Blueprint, origin: Any, access: Any) -> cloudfront.DistributionConfig:
    more: dict[str, Any] = {}
    if b.aws.domain:
        more["Aliases"] = [b.aws.domain]
        more["ViewerCertificate"] = cloudfront.ViewerCertificate(
            AcmCertificateArn=b.aws.certificate, MinimumProtocolVersion="TLSv1.2_2021", SslSupportMethod="sni-only"
        )
    behaviors = [_behavior("/static/*", CACHING_OPTIMIZED, AllowedMethods=["GET", "HEAD", "OPTIONS"])]
    if access is not None:
        behaviors.append(
            _behavior(f"/{blueprint.PUBLIC_PREFIX}*", CACHING_OPTIMIZED, origin=_PAGES, AllowedMethods=["GET", "HEAD"])
        )
        more["CustomErrorResponses"] = [_asleep()]
    return cloudfront.DistributionConfig(
        Enabled=True,
        Comment=f"{b.names.app} {b.names.stage}",
        HttpVersion="http2and3",
        IPV6Enabled=True,
        PriceClass="PriceClass_100",
        Origins=_origins(origin, access),
        DefaultCacheBehavior=cloudfront.DefaultCacheBehavior(
            **_forwarding(CACHING_DISABLED, _APP), AllowedMethods=ALL_METHODS, OriginRequestPolicyId=ALL_VIEWER
        ),
        CacheBehaviors=behaviors,
        **more,
    )


def _origins(origin: Any, access: Any) -> list[cloudfront.Origin]:
    app = cloudfront.Origin(
        Id=_APP,
        DomainName=Ref(blueprint.BALANCER_DNS),
        VpcOriginConfig=cloudfront.VpcOriginConfig(
            VpcOriginId=GetAtt(origin, "Id"), OriginReadTimeout=READ_S, OriginKeepaliveTimeout=KEEP_ALIVE_S
        ),
    )
    if access is None:
        return [app]
    pages = cloudfront.Origin(
        Id=_PAGES,
        DomainName=Sub(f"${{{blueprint.BUCKET}}}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}"),
        S3OriginConfig=cloudfront.S3OriginConfig(OriginAccessIdentity=""),
        OriginAccessControlId=GetAtt(access, "Id"),
    )
    return [app, pages]


def _forwarding(cache: str, origin: str) -> dict[str, Any]:
    return {
        "TargetOriginId": origin,
        "ViewerProtocolPolicy": "redirect-to-https",
        "CachePolicyId": cache,
        "ResponseHeadersPolicyId": SECURITY_HEADERS,
        "Compress": True,
    }


def _behavior(path: str, cache: str, *, origin: str = _APP, **more: Any) -> cloudfront.CacheBehavior:
    return cloudfront.CacheBehavior(PathPattern=path, **_forwarding(cache, origin), **more)


# --- the 503 page and DNS ---------------------------------------------------------------------------------------


def _access(b: Blueprint) -> cloudfront.OriginAccessControl:
    return cloudfront.OriginAccessControl(
        "PagesAccess",
        OriginAccessControlConfig=cloudfront.OriginAccessControlConfig(
            Name=b.names.base, OriginAccessControlOriginType="s3", SigningBehavior="always", SigningProtocol="sigv4"
        ),
    )


def _asleep() -> cloudfront.CustomErrorResponse:
    """Without a task the load balancer answers 503, and people get the page that says until when.

    A 503 of the app itself never comes here: it leaves the app under another number (`ui.serve.Visitor`).
    """
    return cloudfront.CustomErrorResponse(
        ErrorCode=503, ResponseCode=503, ResponsePagePath=f"/{blueprint.SLEEPING_KEY}", ErrorCachingMinTTL=10
    )


def _record(sheet: Sheet, b: Blueprint, distribution: Any) -> None:
    if not b.aws.hosted_zone:
        return
    for kind in ("A", "AAAA"):
        sheet.add(
            route53.RecordSetType(
                f"Record{kind}",
                HostedZoneId=b.aws.hosted_zone,
                Name=b.aws.domain,
                Type=kind,
                AliasTarget=route53.AliasTarget(
                    HostedZoneId=CLOUDFRONT_ZONE, DNSName=GetAtt(distribution, "DomainName")
                ),
            )
        )


# --- the page while asleep --------------------------------------------------------------------------------------------
# The page that CloudFront shows while the UI is asleep: one file, no other, in the words of office hours.

_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
RETRY_S = 30  # the page looks again whether somebody is there


def sleeping_page(title: str, hours: OfficeHours) -> str:
    """Return the page: when it wakes, in the reader's own time where their browser can say so, else in the app's."""
    days = [DAYS.index(day) for day in hours.days]
    schedule = json.dumps({"days": days, "start": hours.start, "end": hours.end, "zone": hours.timezone})
    awake = json.dumps(f"{title} is waking").replace("<", "\\u003c")  # a title must not end the script
    words = {"title": html.escape(title), "hours": html.escape(in_words(hours)), "schedule": schedule, "awake": awake}
    return _PAGE.format(**words, retry_s=RETRY_S)


def in_words(hours: OfficeHours) -> str:
    """Return as in "Monday to Friday, 08:00 to 18:00 (Europe/Berlin)"."""
    return f"{_days(hours.days)}, {hours.start} to {hours.end} ({hours.timezone})"


def _days(days: tuple[str, ...]) -> str:
    names = [_NAMES[DAYS.index(day)] for day in days]
    if len(days) == len(DAYS):
        return "Every day"
    if len(days) > 2 and DAYS.index(days[-1]) - DAYS.index(days[0]) == len(days) - 1:
        return f"{names[0]} to {names[-1]}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{retry_s}">
<title>{title}: asleep</title>
<style>
  body {{ font: 1.1rem/1.6 system-ui, sans-serif; margin: 18vh auto 0; max-width: 34rem; padding: 0 1.5rem; }}
  h1 {{ font-size: 1.6rem; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #0e1117; color: #fafafa; }} }}
</style>
<main>
<h1>{title} is asleep</h1>
<p id="wakes">It is there in its office hours.</p>
<p>Office hours: {hours}.</p>
<p>Nothing is lost: runs that were queued go on, and results are kept. This page looks again by itself.</p>
</main>
<script>
const schedule = {schedule};
const clock = new Intl.DateTimeFormat("en-GB", {{
  timeZone: schedule.zone, weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
}});
function there(at) {{
  const value = Object.fromEntries(clock.formatToParts(at).map(part => [part.type, part.value]));
  const day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].indexOf(value.weekday);
  return {{ open: schedule.days.includes(day), time: value.hour + ":" + value.minute }};
}}
function isAwake(at) {{
  const now = there(at);
  return now.open && schedule.start <= now.time && now.time < schedule.end;
}}
function wakes(now) {{
  const minute = 60000, first = Math.ceil(now / minute) * minute;
  for (let at = first; at < first + 8 * 1440 * minute; at += minute) {{
    const then = there(at);
    if (then.open && then.time === schedule.start) return new Date(at);
  }}
}}
function tell(now) {{
  if (isAwake(now)) {{
    document.querySelector("h1").textContent = document.title = {awake};
    document.getElementById("wakes").textContent = "It cannot be reached for the moment: it may just be starting.";
    return;
  }}
  const form = {{ weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" }};
  const at = wakes(now);
  if (at) document.getElementById("wakes").textContent = "It wakes " + at.toLocaleString([], form) + ".";
}}
tell(Date.now());
</script>
</html>
"""
