"""The one table: what is kept where, and why.

    partition (pk)        sort (sk)            item
    RUN#id                RUN                  the run; `turn` of its queue entry, what the indexes need
    RUN#id                FEEDBACK#user        what one person says of it
    Q#predictor           1#turn#id            queue entry never claimed: due at once, in fair order
    Q#predictor           0#turn#id            queue entry claimed before: leased, in back-off or given back
    POOL#predictor        POOL                 wake, turn, note
    POOL#predictor        SLOT#number          a taken slot
    POOLS                 predictor            that there is such a predictor: what `pools` and lists go through
    TURN#predictor#user   TURN                 the turn given last to this user, and when
    ONCE#sha256           ONCE                 user, predictor and idempotency key → run id; expires
    STATE#key             STATE                shared state: predictors' functions may touch these partitions alone
    DOC#kind              K#key                the app's own documents
    RELEASE               HEAD, BODY#digest#n  what is live: the head names its body, which never changes
    RELEASE               FORMAT               the number of the table's format (`store_format`); none = 1

The queue and the pool are read strongly consistent, from the table, never from an index. An entry moves once in its
life, from `1#` to `0#` when first claimed, so one query in key order gives the few that were ever claimed and then the
first that wait, however long the queue is. What changes often is small: heartbeats touch the entry alone.

Indexes serve lists of runs only. They hold what lists filter by (status, predictor) and not the runs themselves: those
are fetched by key, finished ones once. All sort by run id, which sorts by time.

    by_user       U#user (N#user for nested runs)              id
    by_predictor  P#predictor (N#predictor for nested runs)    id
    by_predictor  FEEDBACK                                     when it was said, run, user
    unfinished    U#user, until the run is finished            id
"""

from __future__ import annotations

import hashlib
import json

from matinee.errors import LimitError
from matinee.runs import Entry

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
    return entry_key(entry.predictor, entry.run_id, entry.turn, claimed=entry.attempt > 0)


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
    said = json.dumps([user, predictor, idempotency_key]).encode()
    return key(f"ONCE#{hashlib.sha256(said).hexdigest()}", "ONCE")


def state_key(name: str) -> Key:
    """Return where a shared value is."""
    return key(f"STATE#{plain(name)}", "STATE")


def document_key(kind: str, name: str) -> Key:
    """Return where a document is."""
    return key(f"DOC#{kind}", f"K#{plain(name)}")
