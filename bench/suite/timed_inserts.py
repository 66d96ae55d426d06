"""Insert memories at a given rate, in a process of its own, and write down when each INSERT began.

    python3 -m bench.suite.timed_inserts CONNECTION PER_SECOND COUNT USERS CLIENTS

Standard output has a line per memory: its id, and time.monotonic() before its INSERT in seconds. Users take turns. A
client that is late goes on at once, so that what falls behind catches up.
"""

from __future__ import annotations

import random
import sys
import threading
import time
import uuid

import psycopg

_INSERT = "INSERT INTO gravity_map (id, user_id, content, gravity_score) VALUES (%s, %s, %s, 0.5)"


def main(arguments: list[str]) -> int:
    """Share the work among clients, and print what each did."""
    conninfo, per_second, count, users, clients = arguments[0], float(arguments[1]), *map(int, arguments[2:5])
    began: list[tuple[uuid.UUID, float]] = []
    start = time.monotonic() + 0.5

    def write(number: int) -> None:
        # Moments at random, as many users' come, and not in step with how often a reader looks.
        moments = random.Random(number)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            due = start
            for turn in range(number, count, clients):
                due += moments.expovariate(per_second / clients)
                if (ahead := due - time.monotonic()) > 0:
                    time.sleep(ahead)
                memory = uuid.uuid4()
                at = time.monotonic()
                connection.execute(_INSERT, (memory, f"user {turn % users}", f"memory {turn}"), prepare=True)
                began.append((memory, at))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for memory, at in began:
        print(memory, at)
    return 0 if len(began) == count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
