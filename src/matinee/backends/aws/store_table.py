"""Calls on one DynamoDB table: conditions, transactions and pages, with conflicts retried and errors explained.

botocore's standard mode repeats throttled and broken calls. It repeats neither TransactionCanceledException nor
TransactionConflictException (another transaction held the item for a moment), so that is done here, with full jitter.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from matinee.backends.aws.errors import explained
from matinee.backends.aws.session import Session
from matinee.errors import BackendError, LimitError
from matinee.lambda_api.sdk import code_of, log_failure
from matinee.retry import Backoff
from matinee.runs import Entry
from matinee.store_format import check_bytes

Item = dict[str, dict[str, Any]]
Write = dict[str, dict[str, Any]]  # one part of a transaction: {"Put": …}

MOST_IN_TRANSACTION = 100  # items
LARGEST_TRANSACTION = 4 * 1024 * 1024  # bytes
_BATCH = 100  # keys of one BatchGetItem
_BACKOFF = Backoff(base_s=0.02, cap_s=0.5, total_s=15.0)
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}  # reasons of a cancellation
_BUSY = {"TransactionConflictException", "TransactionInProgressException", "ReplicatedWriteConflictException"}


class MovedError(Exception):
    """A condition did not hold. `items`: what each item of the call was instead, None where its own condition held."""

    def __init__(self, items: Sequence[Item | None]) -> None:
        super().__init__("a condition did not hold")
        self.items = items


def s(text: str) -> dict[str, str]:
    """Return a string attribute."""
    return {"S": text}


def n(number: float) -> dict[str, str]:
    """Return a number attribute, exactly and as DynamoDB itself writes it: it keeps 38 digits, a float has 17."""
    return {"N": repr(number).removesuffix(".0")}


def expressed(values: Item | None = None, **expressions: str) -> dict[str, Any]:
    """Return expressions with the names (`#rev`) and values (`:rev`) they use."""
    present = {name: text for name, text in expressions.items() if text}
    names = {f"#{word}": word for text in present.values() for word in re.findall(r"#(\w+)", text)}
    filled: dict[str, Any] = dict(present)
    if names:
        filled["ExpressionAttributeNames"] = names
    if values:
        filled["ExpressionAttributeValues"] = values
    return filled


def size_of(item: Item) -> int:
    """Return an item's bytes as DynamoDB counts them, numbers a little too large."""
    return sum(
        len(name) + len(value if isinstance(value, bytes) else str(value).encode())
        for name, typed in item.items()
        for value in typed.values()
    )


def check_size(item: Item, what: str) -> None:
    """Raise LimitError for an item that is too large to be kept."""
    check_bytes(size_of(item), what)


class Table:
    """One table. Every error is a MatineeError but MovedError."""

    def __init__(self, session: Session, name: str) -> None:
        self.name = name
        self._session = session

    def get(self, key: Key) -> Item | None:
        """Return an item as it is now."""
        item: Item | None = self._call("GetItem", Key=key, ConsistentRead=True).get("Item")
        return item

    def put(self, item: Item, condition: str = "", values: Item | None = None) -> Item:
        """Put or replace; return what was there. Raises MovedError when the condition does not hold."""
        expressions = expressed(values, ConditionExpression=condition)
        old: Item = self._write("PutItem", Item=item, ReturnValues="ALL_OLD", **expressions).get("Attributes", {})
        return old

    def update(self, key: Key, update: str, values: Item, condition: str = "") -> Item:
        """Change attributes; return the item as it is then."""
        expressions = expressed(values, UpdateExpression=update, ConditionExpression=condition)
        new: Item = self._write("UpdateItem", Key=key, ReturnValues="ALL_NEW", **expressions)["Attributes"]
        return new

    def update_once(self, key: Key, update: str, values: Item, condition: str) -> Item:
        """Change attributes by a call that is sent once: a repetition would count twice. Raises botocore's errors."""
        expressions = expressed(values, UpdateExpression=update, ConditionExpression=condition)
        client = self._session.client("dynamodb", retry=False)
        new: Item = client.update_item(TableName=self.name, Key=key, ReturnValues="ALL_NEW", **expressions)[
            "Attributes"
        ]
        return new

    def delete(self, key: Key, condition: str = "", values: Item | None = None) -> None:
        """Delete; MovedError when the condition does not hold."""
        self._write("DeleteItem", Key=key, **expressed(values, ConditionExpression=condition))

    def query(self, condition: str, values: Item, *, index: str = "", limit: int = 0, **options: Any) -> Iterator[Item]:
        """Yield the items of one partition in order, `limit` a page; strongly consistent but for an index."""
        arguments: dict[str, Any] = {"IndexName": index} if index else {"ConsistentRead": True}
        if limit:
            arguments["Limit"] = limit
        filtered = options.pop("FilterExpression", "")
        held = options.pop("ProjectionExpression", "")
        expressions = expressed(
            values, KeyConditionExpression=condition, FilterExpression=filtered, ProjectionExpression=held
        )
        for page in self._pages(**arguments, **options, **expressions):
            yield from page.get("Items", ())

    def count(self, condition: str, values: Item, *, index: str = "") -> int:
        """Return how many items a partition has."""
        where = {"IndexName": index} if index else {"ConsistentRead": True}
        expressions = expressed(values, KeyConditionExpression=condition)
        return sum(int(page["Count"]) for page in self._pages(Select="COUNT", **where, **expressions))

    def _pages(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self._call("Query", **arguments)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def batch_get(self, keys: Iterable[Key], *, consistent: bool = False) -> list[Item]:
        """Return the items there are, in any order."""
        waiting = list(keys)
        found: list[Item] = []
        waits = _BACKOFF.waits()
        while waiting:
            asked, waiting = waiting[:_BATCH], waiting[_BATCH:]
            request = {self.name: {"Keys": asked, "ConsistentRead": consistent}}
            answer = self._call("BatchGetItem", RequestItems=request)
            found += answer["Responses"].get(self.name, [])
            left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if left and not next(waits):
                raise self._busy("BatchGetItem", None)
            waiting += left
        return found

    def putting(self, item: Item, condition: str = "", values: Item | None = None) -> Write:
        """Return a put as a part of a transaction."""
        return {"Put": {"Item": item, **expressed(values, ConditionExpression=condition)}}

    def updating(self, key: Key, update: str, values: Item, condition: str = "") -> Write:
        """Return an update as a part of a transaction."""
        expressions = expressed(values, UpdateExpression=update, ConditionExpression=condition)
        return {"Update": {"Key": key, **expressions}}

    def deleting(self, key: Key, condition: str = "", values: Item | None = None) -> Write:
        """Return a deletion as a part of a transaction."""
        return {"Delete": {"Key": key, **expressed(values, ConditionExpression=condition)}}

    def checking(self, key: Key, condition: str, values: Item) -> Write:
        """Return a condition on an item that stays as it is, as a part of a transaction."""
        return {"ConditionCheck": {"Key": key, **expressed(values, ConditionExpression=condition)}}

    def transact(self, *writes: Write) -> None:
        """Do all or none; MovedError when a condition does not hold.

        The token makes a repetition after a lost answer the same transaction:
        https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
        """
        items = [
            {verb: {"TableName": self.name, "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **expressions}}
            for write in writes
            for verb, expressions in write.items()
        ]
        token = os.urandom(16).hex()
        waits = _BACKOFF.waits()
        while True:
            try:
                self._call("TransactWriteItems", TransactItems=items, ClientRequestToken=token)
                return
            except _CancelledError as error:
                cancelled = error
            try:
                _judge(cancelled.reasons)
            except LimitError:
                self._log("TransactWriteItems", cancelled.cause)
                raise
            if not next(waits):
                raise self._busy("TransactWriteItems", cancelled.cause)

    def _write(self, operation: str, **arguments: Any) -> dict[str, Any]:
        if "ConditionExpression" in arguments:
            arguments["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return self._call(operation, **arguments)

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        if operation not in ("BatchGetItem", "TransactWriteItems"):
            arguments["TableName"] = self.name
        waits = _BACKOFF.waits()
        while True:
            action = f"dynamodb:{operation}"
            with explained(f"The table {self.name}", action, f"table/{self.name}"):
                try:
                    client = self._session.client("dynamodb")
                    answer: dict[str, Any] = getattr(client, _METHODS[operation])(**arguments)
                    return answer
                except Exception as error:
                    if known := _known(error):
                        raise known from None
                    if code_of(error) not in _BUSY:
                        raise
                    busy = error
            if not next(waits):
                raise self._busy(operation, busy)

    def _busy(self, operation: str, error: Exception | None) -> BackendError:
        busy = BackendError(f"The table {self.name} is too busy for {operation}.", hint="Try again in a moment.")
        self._log(operation, error or busy)
        return busy

    def _log(self, operation: str, error: Exception) -> None:
        log_failure(error, f"dynamodb:{operation}", f"table/{self.name}")


_METHODS = {
    "BatchGetItem": "batch_get_item",
    "DeleteItem": "delete_item",
    "GetItem": "get_item",
    "PutItem": "put_item",
    "Query": "query",
    "TransactWriteItems": "transact_write_items",
    "UpdateItem": "update_item",
}


class _CancelledError(Exception):
    """A transaction was not done. `reasons`: one for each of its items."""

    def __init__(self, reasons: list[dict[str, Any]], cause: Exception) -> None:
        super().__init__("cancelled")
        self.reasons = reasons
        self.cause = cause


def _known(error: Exception) -> Exception | None:
    """Return what the callers here handle themselves."""
    response = getattr(error, "response", {})
    if code_of(error) == "ConditionalCheckFailedException":
        return MovedError([response.get("Item", {})])
    if code_of(error) == "TransactionCanceledException":
        return _CancelledError(response.get("CancellationReasons", []), error)
    return None


def _judge(reasons: list[dict[str, Any]]) -> None:
    """Return if the transaction may be tried again as it is; raise what it failed of otherwise."""
    codes = [reason.get("Code", "None") for reason in reasons]
    if "ConditionalCheckFailed" in codes:
        raise MovedError([r.get("Item", {}) if r.get("Code") == "ConditionalCheckFailed" else None for r in reasons])
    for reason in reasons:
        if reason.get("Code", "None") not in _PASSING | {"None"}:
            text = str(reason.get("Message", reason["Code"]))
            raise LimitError(f"What was to be written is not taken: {text}", hint="Keep large values in files.")


# --- keys of the table ------------------------------------------------------------------------------------------------
# The one table: what is kept where, and why.
#
#     partition (pk)        sort (sk)            item
#     RUN#id                RUN                  the run; `turn` of its queue entry, what the indexes need
#     RUN#id                FEEDBACK#user        what one person says of it
#     Q#predictor           1#turn#id            queue entry never claimed: due at once, in fair order
#     Q#predictor           0#turn#id            queue entry claimed before: leased, in back-off or given back
#     POOL#predictor        POOL                 wake, turn, note
#     POOL#predictor        SLOT#number          a taken slot
#     POOLS                 predictor            that there is such a predictor: what `pools` and lists go through
#     TURN#predictor#user   TURN                 the turn given last to this user, and when
#     ONCE#sha256           ONCE                 user, predictor and idempotency key → run id; expires
#     STATE#key             STATE                shared state: predictors' functions may touch these partitions alone
#     DOC#kind              K#key                the app's own documents
#     RELEASE               HEAD, BODY#digest#n  what is live: the head names its body, which never changes
#     RELEASE               FORMAT               the number of the table's format (`store_format`); none = 1
#
# The queue and the pool are read strongly consistent, from the table, never from an index. An entry moves once in its
# life, from `1#` to `0#` when first claimed, so one query in key order gives the few that were ever claimed and then
# the first that wait, however long the queue is. What changes often is small: heartbeats touch the entry alone.
#
# Indexes serve lists of runs only. They hold what lists filter by (status, predictor) and not the runs themselves:
# those are fetched by key, finished ones once. All sort by run id, which sorts by time.
#
#     by_user       U#user (N#user for nested runs)              id
#     by_predictor  P#predictor (N#predictor for nested runs)    id
#     by_predictor  FEEDBACK                                     when it was said, run, user
#     unfinished    U#user, until the run is finished            id

Key = dict[str, dict[str, str]]

FEEDBACK = "FEEDBACK"  # a partition of by_predictor
CLAIMED, WAITING = "0#", "1#"
_LONGEST_PK, _LONGEST_SK = 2048, 1024  # bytes; Naming rules and data types in DynamoDB


def key(partition: str, sort: str) -> Key:
    """Return a primary key; LimitError for one DynamoDB does not take."""
    if len(partition.encode()) > _LONGEST_PK or len(sort.encode()) > _LONGEST_SK:
        longest = _LONGEST_PK if len(partition.encode()) > _LONGEST_PK else _LONGEST_SK
        raise LimitError(f"The key {max(partition, sort, key=len)[:40]!r}… is longer than {longest} bytes.")
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def plain(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 cannot say."""
    return text.encode("utf-8", "replace").decode()


def run_key(run_id: str) -> Key:
    """Return where a run is."""
    return key(f"RUN#{plain(run_id)}", "RUN")


def queue(predictor: str) -> str:
    """Return the partition of a predictor's queue."""
    return f"Q#{predictor}"


def entry_key(predictor: str, run_id: str, turn: int, *, claimed: bool) -> Key:
    """Return where an entry is; `claimed`: whether a worker ever held it."""
    return key(queue(predictor), f"{CLAIMED if claimed else WAITING}{turn:012d}#{run_id}")


def key_of(entry: Entry) -> Key:
    """Return where this entry is."""
    return entry_key(entry.predictor, entry.run_id, entry.fair_share_rank, claimed=entry.attempt > 0)


def pool_key(predictor: str) -> Key:
    """Return where a pool is."""
    return key(f"POOL#{predictor}", "POOL")


def slot_key(predictor: str, number: int) -> Key:
    """Return where a slot is while taken."""
    return key(f"POOL#{predictor}", f"SLOT#{number:06d}")


def turn_key(predictor: str, user: str) -> Key:
    """Return where a user's last turn is."""
    return key(f"TURN#{predictor}#{plain(user)}", "TURN")


def once_key(user: str, predictor: str, idempotency_key: str) -> Key:
    """Return where the run of an idempotency key is named; any text of any length is a key."""
    identity = json.dumps([user, predictor, idempotency_key]).encode()
    return key(f"ONCE#{hashlib.sha256(identity).hexdigest()}", "ONCE")


def state_key(name: str) -> Key:
    """Return where a shared value is."""
    return key(f"STATE#{plain(name)}", "STATE")


def document_key(kind: str, name: str) -> Key:
    """Return where a document is."""
    return key(f"DOC#{kind}", f"K#{plain(name)}")
