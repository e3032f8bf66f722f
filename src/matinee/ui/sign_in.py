"""The sign-in pages: plain HTML without script or anything from elsewhere; light and dark, and readable aloud."""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from matinee.access.modes import LONGEST_ANSWER, Question

STYLE = """
:root { color-scheme: light dark; --ink: #1b2333; --soft: #56607a; --page: #f6f7fa; --card: #fff; --line: #8a93a8;
  --accent: #3d5a98; --on-accent: #fff; --bad: #a11d2a; --bad-page: #fdecee; }
@media (prefers-color-scheme: dark) { :root { --ink: #eef1f7; --soft: #b3bccf; --page: #11151d; --card: #1a202c;
  --line: #76819a; --accent: #9db6ee; --on-accent: #10151f; --bad: #ffb3ba; --bad-page: #3a1a1f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 24rem; padding: 2rem; background: var(--card); border-radius: .75rem;
  box-shadow: 0 1px 3px #0003; }
h1 { margin: 0 0 .25rem; font-size: 1.4rem; line-height: 1.25; overflow-wrap: anywhere; }
p { margin: 0 0 1.25rem; color: var(--soft); overflow-wrap: anywhere; }
p.bad { padding: .6rem .8rem; border-radius: .5rem; background: var(--bad-page); color: var(--bad); }
label { display: block; margin-bottom: 1rem; font-weight: 600; }
small { display: block; font-weight: 400; color: var(--soft); }
input { display: block; width: 100%; margin-top: .3rem; padding: .6rem .7rem; border: 1px solid var(--line);
  border-radius: .5rem; background: var(--card); color: var(--ink); font: inherit; font-weight: 400; }
button, a.button { display: block; width: 100%; padding: .65rem; border: 0; border-radius: .5rem; cursor: pointer;
  background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; text-align: center;
  text-decoration: none; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
"""
LONGEST_NEXT = 2000


@dataclass(frozen=True)
class Asked:
    """What the page of one person shows: what they typed, what was wrong, where they were going."""

    title: str
    questions: tuple[Question, ...] = ()  # () = a button that leads to the provider
    token: str = ""  # against forms of other sites
    after: str = "/"
    name: str = ""
    problem: str = ""
    provider_url: str = ""


def sign_in_page(asked: Asked) -> tuple[str, Mapping[str, str]]:
    """Return the page that asks who somebody is, and its headers."""
    body = f"<h1>{html.escape(asked.title)}</h1>" + (_form(asked) if asked.questions else _provider(asked))
    return _page(f"Sign in · {asked.title}", body)


def _form(asked: Asked) -> str:
    empty = next((q for q in asked.questions if not _typed_before(asked, q)), asked.questions[0])
    fields = "\n".join(_field(q, _typed_before(asked, q), is_first=q == empty) for q in asked.questions)
    return f"""<p>Sign in to use this app.</p>{_problem(asked)}
<form method="post" action="/sign-in">
<input type="hidden" name="token" value="{html.escape(asked.token)}">
<input type="hidden" name="after" value="{html.escape(asked.after)}">
{fields}
<button type="submit">Sign in</button>
</form>"""


def _typed_before(asked: Asked, question: Question) -> str:
    return asked.name if question.name == "name" else ""


def _field(question: Question, value: str, *, is_first: bool) -> str:
    hint = f"<small>{html.escape(question.hint)}</small>" if question.hint else ""
    kind = ' type="password"' if question.is_secret else f' value="{html.escape(value)}" autocapitalize="none"'
    return f"""<label>{html.escape(question.label)}{hint}<input name="{html.escape(question.name)}"{kind}
 autocomplete="{html.escape(question.autocomplete)}" maxlength="{LONGEST_ANSWER}" spellcheck="false"
 required{" autofocus" if is_first else ""}></label>"""


def _provider(asked: Asked) -> str:
    url = html.escape(asked.provider_url)
    return f"""<p>Sign in to use this app.</p>{_problem(asked)}<a class="button" href="{url}">Sign in</a>"""


def sign_out_page(title: str, name: str) -> tuple[str, Mapping[str, str]]:
    """Return the page that asks whether to sign out, and its headers."""
    body = f"""<h1>Sign out?</h1><p>You are signed in to {html.escape(title)} as {html.escape(name)}.</p>
<form method="post" action="/sign-out"><p><button type="submit">Sign out</button></p></form>
<a href="/">Back to the app</a>"""
    return _page(f"Sign out · {title}", body)


def _problem(asked: Asked) -> str:
    return f'<p class="bad" role="alert">{html.escape(asked.problem)}</p>' if asked.problem else ""


def _page(title: str, body: str) -> tuple[str, Mapping[str, str]]:
    nonce = secrets.token_urlsafe(16)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<link rel="icon" href="data:,"><style nonce="{nonce}">{STYLE}</style></head>
<body><main>{body}</main></body></html>"""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return page, {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def safe_after(address: str) -> str:
    """Return where to go after signing in: an address inside the app, else its first page."""
    inside = address.startswith("/") and not re.match(r"/[/\\]|.*[\x00-\x20\\\x7f]", address)
    is_page = not address.startswith(("/sign-in", "/sign-out"))
    return address if inside and is_page and len(address) <= LONGEST_NEXT else "/"
