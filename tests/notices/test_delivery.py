"""Somebody asked to be told: once, by every way they chose, however many dispatchers look and whatever goes wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from matinee.client import notices
from matinee.errors import ConflictError, InputError, RateError
from matinee.notices.deliver import FIRST_RETRY_S, GIVE_UP_S, HOLD_S, deliver, open_senders
from matinee.notices.subscriptions import KEPT_S, NOTICE, NotSentError
from matinee.runs import Failure, new_run_id

LATER = 1_780_000_100.0


def look(store, now=LATER):
    return deliver(store, now, open_senders(store.release(), store, {}))


class Flaky:
    """Fails as often as told, then takes what is sent."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.sent: list[str] = []

    def send(self, message):
        if self.fails:
            self.fails -= 1
            raise NotSentError("not now")
        self.sent.append(message.id)


def test_nobody_is_told_before_the_run_is_finished(store, client_of, run, mail):
    notices.tell(client_of(), run.id, email="ana@example.com")
    assert look(store) is None
    assert not mail.letters
    assert store.documents(NOTICE)


def test_an_e_mail_says_what_is_done_and_where(store, client_of, run, finish, mail):
    asked = notices.tell(client_of(url="https://app.example.com"), run.id, email="ana@example.com")
    finish(run)
    look(store)
    look(store)
    (letter,) = mail.letters
    assert (letter["To"], letter["Subject"]) == ("ana@example.com", "Tiny: plan is done")
    assert letter["From"] == "App <app@example.com>"
    assert letter["Message-ID"] == f"<{asked.id}@example.com>"
    assert f"https://app.example.com/run?id={run.id}" in letter.get_payload()


def test_a_failure_is_told_without_a_word_of_the_predictor(store, client_of, run, finish, mail):
    notices.tell(client_of(), run.id, email="ana@example.com")
    finish(run, Failure("exception", "Win a prize at https://evil.example"))
    look(store)
    text = mail.letters[0].get_payload()
    assert "plan has failed" in text
    assert "prize" not in str(mail.letters[0])
    assert "http" not in text, "no address is set up, so there is no link"


def test_e_mail_goes_to_the_senders_own_domain_unless_the_owner_says_more(store, client_of, run, finish, mail):
    with pytest.raises(InputError, match=r"must end with @example\.com"):
        notices.tell(client_of(), run.id, email="ana@elsewhere.org")
    client = client_of(email_domains=["*"])
    notices.tell(client, run.id, email="ana@elsewhere.org")
    client_of()  # the owner changes their mind before the run has ended
    finish(run)
    look(store)
    assert not mail.letters
    assert notices.asked(client, run.id).channels["email"].state == "given_up"


def test_a_webhook_goes_only_to_the_ports_that_the_owner_names(client_of, run, receiver):
    with pytest.raises(InputError, match="must go to one of the ports 80, 443"):
        notices.tell(client_of(webhook_ports=[80, 443]), run.id, webhook=receiver.url)
    assert notices.tell(client_of(), run.id, webhook=receiver.url)


def test_a_webhook_is_signed_as_the_specification_says(store, client_of, run, finish, receiver):
    client = client_of()
    asked = notices.tell(client, run.id, webhook=receiver.url)
    finish(run)
    look(store)
    ((headers, body),) = receiver.calls
    key = base64.b64decode(notices.signing_secret(client).removeprefix("whsec_"))
    signed = f"{asked.id}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == asked.id
    told = json.loads(body)
    assert (told["type"], told["data"]["run"], told["data"]["status"]) == ("run.finished", run.id, "succeeded")


def test_what_failed_is_sent_again_under_the_same_id_with_growing_pauses(store, client_of, run, finish, receiver):
    notices.tell(client_of(), run.id, webhook=receiver.url)
    finish(run)
    receiver.answers = [500, 302, 404]
    now, pauses = LATER, []
    while (at := look(store, now)) is not None:
        pauses.append(at - now)
        assert look(store, at - 0.1) == at
        now = at
    assert pauses == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
    assert len(receiver.calls) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.calls}) == 1


def test_a_day_later_it_is_given_up(store, client_of, run, finish):
    client = client_of()
    notices.tell(client, run.id, webhook="http://127.0.0.1:9/")
    finish(run)
    sender = Flaky(fails=10**6)
    now = LATER
    while (at := deliver(store, now, {"webhook": sender})) is not None:
        now = at
    assert GIVE_UP_S - 3600 <= now - LATER <= GIVE_UP_S
    channel = notices.asked(client, run.id).channels["webhook"]
    assert (channel.state, channel.why) == ("given_up", "not now")


def test_gone_is_final(store, client_of, run, finish, receiver):
    notices.tell(client_of(), run.id, webhook=receiver.url)
    finish(run)
    receiver.answers = [410]
    assert look(store) is None
    assert look(store, LATER + GIVE_UP_S) is None
    assert len(receiver.calls) == 1


def test_an_address_the_mail_server_refuses_is_given_up_and_one_that_is_down_tried_again(
    store, client_of, run, finish, mail
):
    client = client_of()
    notices.tell(client, run.id, email="nobody@example.com")
    finish(run)
    mail.down = True
    again = look(store)
    assert again == LATER + FIRST_RETRY_S
    mail.down = False
    mail.refuse["nobody@example.com"] = 550
    assert look(store, again) is None
    assert notices.asked(client, run.id).channels["email"].state == "given_up"


def test_many_dispatchers_at_once_send_once(store, client_of, run, finish):
    notices.tell(client_of(), run.id, webhook="http://127.0.0.1:9/", email="ana@example.com")
    finish(run)
    hook, mail = Flaky(), Flaky()
    with ThreadPoolExecutor(8) as threads:
        looks = [threads.submit(deliver, store, LATER, {"webhook": hook, "email": mail}) for _ in range(40)]
        [one.result(20) for one in looks]
    deliver(store, LATER, {"webhook": hook, "email": mail})
    assert (len(hook.sent), len(mail.sent)) == (1, 1)


def test_what_another_sends_while_this_one_sends_the_other_way_is_left_alone(store, client_of, run, finish):
    notices.tell(client_of(), run.id, webhook="http://127.0.0.1:9/", email="ana@example.com")
    finish(run)
    hook, mail = Flaky(), Flaky()

    class Meanwhile(Flaky):
        def send(self, message):
            super().send(message)
            deliver(store, LATER, {"webhook": hook, "email": mail})  # a second dispatcher, at this very moment

    slow_hook, slow_mail = Meanwhile(), Meanwhile()
    deliver(store, LATER, {"webhook": slow_hook, "email": slow_mail})
    assert len(hook.sent) + len(slow_hook.sent) == 1
    assert len(mail.sent) + len(slow_mail.sent) == 1


def test_after_a_crash_in_the_middle_it_is_sent_again_under_the_same_id(store, client_of, run, finish):
    notices.tell(client_of(), run.id, webhook="http://127.0.0.1:9/")
    finish(run)

    class Crash(Flaky):
        def send(self, message):
            super().send(message)
            raise KeyboardInterrupt

    crash, healthy = Crash(), Flaky()
    with pytest.raises(KeyboardInterrupt):
        deliver(store, LATER, {"webhook": crash})
    assert deliver(store, LATER + 1, {"webhook": healthy}) == LATER + HOLD_S
    deliver(store, LATER + HOLD_S, {"webhook": healthy})
    assert crash.sent == healthy.sent != []


def test_the_badge_has_what_is_finished_until_it_is_looked_at(store, client_of, run, finish):
    client = client_of()
    notices.tell(client, run.id)
    (waiting,) = notices.notices_of_people(client)["ana"]
    assert not waiting.is_unseen
    done = finish(run)
    look(store)
    (unseen,) = notices.notices_of_people(client)["ana"]
    assert unseen.is_unseen
    notices.saw(client, done)
    assert store.documents(NOTICE) == {}


def test_who_looks_before_the_mail_is_out_is_still_sent_it(store, client_of, run, finish, mail):
    client = client_of()
    notices.tell(client, run.id, email="ana@example.com")
    notices.saw(client, finish(run))
    assert store.documents(NOTICE)
    look(store)
    assert len(mail.letters) == 1
    assert store.documents(NOTICE) == {}


def test_a_badge_nobody_looks_at_goes_after_a_month(store, client_of, run, finish):
    notices.tell(client_of(), run.id)
    finish(run)
    look(store)
    assert store.documents(NOTICE)
    look(store, LATER + KEPT_S)
    assert store.documents(NOTICE) == {}


def test_what_is_taken_back_is_not_sent(store, client_of, run, finish, mail):
    client = client_of()
    notices.tell(client, run.id, email="ana@example.com")
    notices.stop_telling(client, run.id)
    finish(run)
    assert look(store) is None
    assert not mail.letters


def test_a_way_that_is_no_longer_set_up_is_given_up(store, client_of, run, finish):
    client = client_of()
    notices.tell(client, run.id, webhook="http://127.0.0.1:9/")
    finish(run)
    client_of(webhooks=False)
    assert look(store) is None
    assert notices.asked(client, run.id).channels["webhook"].state == "given_up"


def test_a_finished_run_and_one_too_many_are_refused(store, client_of, run, finish, monkeypatch):
    client = client_of()
    monkeypatch.setattr(notices, "MOST_WAITING", 1)
    notices.tell(client, run.id)
    notices.tell(client, run.id)  # the same once more
    other = store.submit([type(run)(new_run_id(LATER), "plan", "batch", "ana", run.status, {}, run.created_at)])[0]
    with pytest.raises(RateError):
        notices.tell(client, other.id)
    finish(run)
    with pytest.raises(ConflictError):
        notices.tell(client, run.id)


@pytest.mark.parametrize("address", ["", "ana", "ana@", "a b@c.de", "a@b.de\r\nBcc: x@y.de", "a@b.de,c@d.de", "ä@b.de"])
def test_what_is_no_address_is_refused_at_its_field(client_of, run, address):
    with pytest.raises(InputError) as caught:
        notices.tell(client_of(), run.id, email=address or " ")
    assert caught.value.problems[0].path == "email"


def test_e_mail_goes_only_where_the_owner_lets_it(client_of, run):
    client = client_of(email_domains=["example.com"])
    assert notices.tell(client, run.id, email="ana@Example.com")
    with pytest.raises(InputError, match="must end with @example"):
        notices.tell(client, run.id, email="ana@example.com.evil.org")
    with pytest.raises(InputError, match="not set up"):
        notices.tell(client_of(smtp_host=""), run.id, email="ana@example.com")
