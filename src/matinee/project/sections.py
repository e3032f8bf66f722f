"""`[auth]`, `[notices]` and `[ui]` of a `matinee.toml`, and a row for each way to sign in. Secrets are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from matinee.project.fields import Document, Field, key, read_table
from matinee.settings import (
    COOKIE_SECRET,
    OIDC_CLIENT_ID,
    OIDC_CLIENT_SECRET,
    OIDC_METADATA_URL,
    OIDC_REDIRECT_URI,
    OWNER_PASSWORD,
    PASSWORD,
    SMTP_PASSWORD,
)

Json = Any
T = TypeVar("T")
_TEXT = Field("text")

# --- the [auth] table ---------------------------------------------------------------------------------------------

PROVIDER_SETTINGS = {  # what Streamlit's `st.login` is configured with, by the variable that holds it
    OIDC_CLIENT_ID: "client_id",
    OIDC_CLIENT_SECRET: "client_secret",
    OIDC_METADATA_URL: "server_metadata_url",
    OIDC_REDIRECT_URI: "redirect_uri",
}


@dataclass(frozen=True)
class SignInMode:
    """What the rest of the house must know of one way to sign in; `access.modes` has the class that does it.

    `{stage}` in `after_deploy` becomes the stage's name.
    """

    name: str
    after_deploy: str  # a sentence for who has just deployed the app
    variables: tuple[str, ...] = ()  # without these the app does not start; on a stage they are secrets
    optional_variables: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()  # of the variables: those that a deployment makes where they are missing
    extra: str = ""  # the optional dependencies of the package that it needs, as in `matinee[oidc]`
    is_open: bool = False  # nobody signs in: whoever reaches the app owns it
    has_accounts: bool = False  # people are added by `matinee users`


SIGN_IN_MODES: dict[str, SignInMode] = {
    mode.name: mode
    for mode in (
        SignInMode("none", "Anybody who has the address can use it.", is_open=True),
        SignInMode(
            "password",
            "People sign in with the password of the stage.",
            variables=(PASSWORD,),
            optional_variables=(OWNER_PASSWORD,),
            generated=(PASSWORD,),
        ),
        SignInMode(
            "users",
            "People sign in by name. Add somebody: matinee users add NAME --stage {stage}",
            has_accounts=True,
        ),
        SignInMode("oidc", "People sign in at your provider.", variables=tuple(PROVIDER_SETTINGS), extra="oidc"),
    )
}
LAN_MODE = "password"  # of `matinee dev --lan`, where the app has no sign-in of its own
_CLAIM = Field("text", pattern=r"[^\s]{1,200}", example='must be the name of a claim such as "preferred_username"')
_AUTH_SECRETS = {  # what people would write here, and where it belongs
    "password": PASSWORD,
    "owner_password": OWNER_PASSWORD,
    "cookie_secret": COOKIE_SECRET,
    "client_secret": OIDC_CLIENT_SECRET,
}


@dataclass(frozen=True)
class Auth:
    """Who may use the app, and how they say who they are."""

    mode: str = key(
        "none",
        Field("text", choices=SIGN_IN_MODES.keys()),
        '"password", "users" or "oidc"; secrets come from the environment',
    )
    owners: tuple[str, ...] = key(
        (), Field("texts"), "names of those who see everybody's runs; oidc: what `name_claim` says of them"
    )
    allow: tuple[str, ...] = key((), Field("texts"), 'oidc: names, or "@domain"; [] = whoever the provider signs in')
    days: float = key(7.0, Field("number", low=0.01, high=90), "how long one stays signed in")
    name_claim: str = key("email", _CLAIM, 'oidc: the claim that names a person, as "preferred_username" or "sub"')
    owner_groups: tuple[str, ...] = key((), Field("texts"), "oidc: whoever is in one of these groups owns the app")
    groups_claim: str = key("groups", _CLAIM, "oidc: the claim that lists a person's groups")

    @property
    def sign_in_mode(self) -> SignInMode:
        """The row of its mode."""
        return SIGN_IN_MODES[self.mode]


def read_auth(document: Document, at: tuple[str, ...] = ("auth",)) -> Mapping[str, Json]:
    """Return what the table gives of `Auth`; raises ProjectError, above all for a password or a secret."""
    _refuse_secrets(document, at, _AUTH_SECRETS)
    return read_table(document, at, Auth)


def section_from_json(section: type[T], details: Mapping[str, Json]) -> T:
    """Return the `Auth` or `Notices` that a release or a variable holds, without what is not known here."""
    known = {field.name for field in fields(section)}  # type: ignore[arg-type]
    return section(**_with_tuples({name: value for name, value in details.items() if name in known}))


def _refuse_secrets(document: Document, at: tuple[str, ...], secrets: Mapping[str, str]) -> None:
    table = document.at(at)
    for name, variable in secrets.items():
        if name in table:
            raise document.error(
                (*at, name),
                f"{'.'.join((*at, name))} is a secret, and this file is read by everybody who has the app",
                f"Remove it from the file, and set the environment variable {variable} instead.",
            )


def _with_tuples(table: Mapping[str, Json]) -> dict[str, Json]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


# --- the [notices] table ------------------------------------------------------------------------------------------

ANYWHERE = "*"  # in `email_domains`: e-mail goes to every domain
_NOTICES_SECRETS = dict.fromkeys(("smtp_password", "password"), SMTP_PASSWORD)
_PORT = Field("whole", low=1, high=65535)


def _read_ports(document: Document, at: tuple[str, ...]) -> tuple[int, ...]:
    ports = tuple(document.at(at[:-1])[at[-1]])
    for number in ports:
        if problem := _PORT.problem(number):
            raise document.error(at, f"each of {'.'.join(at)} {problem}")
    return ports


@dataclass(frozen=True)
class Notices:
    """How people are told that a run is done, beside the badge in the app."""

    smtp_host: str = key("", Field("text"), 'the mail server; "" = no e-mail')
    smtp_port: int = key(587, _PORT, "its port")
    smtp_user: str = key("", Field("text"), f'"" = the server wants no password; the password is `{SMTP_PASSWORD}`')
    smtp_security: str = key(
        "starttls", Field("text", choices=("starttls", "tls", "none")), 'or "tls" (port 465), "none"'
    )
    sender: str = key(
        "",
        Field("text", pattern=r"[^\r\n]+@[^\r\n]+", example='must be an address such as "Me <me@example.com>"'),
        "who e-mail comes from",
    )
    email_domains: tuple[str, ...] = key(
        (), Field("texts"), 'e-mail goes only there; [] = the domain of `sender`, ["*"] = anywhere'
    )
    webhooks: bool = key(False, Field("switch"), "people may name an address of the web to be called")
    webhook_ports: tuple[int, ...] = key((80, 443), Field("list"), "webhooks go only to these", read=_read_ports)
    private_addresses: bool = key(False, Field("switch"), "also one inside your own network, and plain http")
    url: str = key(
        "",
        Field("text", pattern="https?://[^/\\s]+", example='must be as in "https://app.example.com"'),
        'where people open the app: messages link there; "" = they have no link',
    )


def read_notices(document: Document, at: tuple[str, ...] = ("notices",)) -> Mapping[str, Json]:
    """Return what the table gives of `Notices`; raises ProjectError, also for a password or a missing sender."""
    _refuse_secrets(document, at, _NOTICES_SECRETS)
    table = read_table(document, at, Notices)
    if table.get("smtp_host") and not table.get("sender"):
        raise document.error((*at, "smtp_host"), "smtp_host needs a sender", 'Add sender = "me@example.com".')
    return table


# --- the [ui] table -----------------------------------------------------------------------------------------------
OWN_PAGE = "ui.py"  # beside the matinee.toml it is the home page
README = "README.md"
_PAGE_FIELDS = {"file": _TEXT, "title": _TEXT, "icon": _TEXT, "replaces": _TEXT}
_SOURCES = Field(  # one source of a content security policy each: nothing that ends it or begins another
    "texts",
    pattern=r"'unsafe-(inline|eval)'|((https?|wss?)://)?(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:(\d+|\*))?(/[\w./~-]*)?",
    example='must hold addresses such as "https://tiles.example.com"',
)
_PICTURES = (".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(frozen=True)
class Page:
    """One page of the owner's own: a Streamlit script."""

    file: str
    title: str
    path: str  # its address
    icon: str = ""  # an emoji or ":material/NAME:"
    replaces: str = ""  # the predictor whose page it takes the place of
    is_home: bool = False


@dataclass(frozen=True)
class Ui:
    """How the app looks: `[ui]`."""

    icon: str = key("", _TEXT, "an emoji")
    theme: str = key("", Field("text", choices=("light", "dark")), '"light" or "dark"; "" = as the browser')
    primary_color: str = key(
        "", Field("text", pattern="#[0-9a-fA-F]{6}", example='must be a colour such as "#ff4b4b"'), 'as in "#ff4b4b"'
    )
    logo: str = key("", _TEXT, "a picture in the app's folder")
    about: str = key("", _TEXT, 'a Markdown file: the page "About"', default_text='"README.md", if there is one')
    pages: tuple[Page, ...] = key((), Field("list"), "pages of your own: file names, or tables as below")
    rating: str = key(
        "thumbs", Field("text", choices=("thumbs", "stars")), 'what people are asked for; "stars" = 1 to 5'
    )
    csp_sources: tuple[str, ...] = key(
        (), _SOURCES, 'where pages may load from beside this app, as in "https://tiles.example.com"'
    )
    frame_ancestors: tuple[str, ...] = key((), _SOURCES, "sites that may show this app in a frame, a notebook's say")
    hosts: tuple[str, ...] = key(
        (),
        Field("texts", pattern="[a-z0-9]([a-z0-9.-]*[a-z0-9])?", example='must hold names such as "demo.example.com"'),
        "names that lead to this app beside this machine's, where nobody signs in: a proxy's",
    )


def ui_details(ui: Ui, folder: Path | str) -> dict[str, Json]:
    """Return what a release tells the UI; `folder` is where the UI's process finds the app's files."""
    return {**asdict(ui), "folder": str(folder)}


def default_ui(folder: Path) -> dict[str, Json]:
    """Return what the files of an app's folder say by themselves: `ui.py` is a page, README.md tells about it."""
    own = (_page(OWN_PAGE, "Home", is_home=True),) if (folder / OWN_PAGE).is_file() else ()
    return {"pages": own, "about": README if (folder / README).is_file() else ""}


def read_ui(document: Document, folder: Path, at: tuple[str, ...] = ("ui",)) -> Mapping[str, Json]:
    """Return what the table gives of `Ui`; raises ProjectError, also for a file that is not there."""
    table = read_table(document, at, Ui)
    for name, endings in (("logo", _PICTURES), ("about", (".md",))):
        if table.get(name):
            table[name] = _file(document, folder, (*at, name), table[name], endings)
    if "pages" in table:
        listed = tuple(_listed(document, folder, (*at, "pages"), item) for item in table["pages"])
        own = [page for page in default_ui(folder)["pages"] if page.file not in {one.file for one in listed}]
        table["pages"] = (*own, *listed)
        _check_addresses(document, (*at, "pages"), table["pages"])
    return table


def _listed(document: Document, folder: Path, at: tuple[str, ...], item: Json) -> Page:
    if isinstance(item, str):
        item = {"file": item}
    wrong = (
        not isinstance(item, dict) or item.keys() - _PAGE_FIELDS or not all(isinstance(v, str) for v in item.values())
    )
    if wrong or not item.get("file"):
        keys = ", ".join(_PAGE_FIELDS)
        raise document.error(at, "each page is a file name, or a table with file", f"A table may hold: {keys}.")
    file = _file(document, folder, at, item["file"], (".py",))
    is_home = file == OWN_PAGE and not item.get("replaces")
    return _page(file, item.get("title", ""), item.get("icon", ""), item.get("replaces", ""), is_home=is_home)


def _page(file: str, title: str, icon: str = "", replaces: str = "", *, is_home: bool = False) -> Page:
    stem = Path(file).stem
    title = title or ("Home" if is_home else re.sub("[-_]+", " ", replaces or stem).strip().capitalize())
    path = "home" if is_home else re.sub("[^a-z0-9_]+", "-", stem.lower()).strip("-") or "page"
    return Page(file, title, replaces or path, icon, replaces, is_home)


def _file(document: Document, folder: Path, at: tuple[str, ...], text: str, endings: tuple[str, ...]) -> str:
    path = (folder / text).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise document.error(at, f"there is no file {text} in the app's folder")
    if path.suffix.lower() not in endings:
        raise document.error(at, f"{text} is none of {', '.join(endings)}")
    return path.relative_to(folder).as_posix()


def _check_addresses(document: Document, at: tuple[str, ...], pages: tuple[Page, ...]) -> None:
    taken: dict[str, str] = {}
    for page in pages:
        if page.path in taken:
            raise document.error(
                at, f"{taken[page.path]} and {page.file} are pages at the same address", "Rename one of the files."
            )
        taken[page.path] = page.file
