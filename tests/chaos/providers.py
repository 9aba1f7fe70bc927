"""Providers that lose, delay and refuse at random, each a process that writes every message it accepts to a journal.

    python -m tests.chaos.providers smtp --port 2525 --journal mails.jsonl --seed 7

The first line on stdout is the port. Lines on stdin are orders: `trouble 0.08` is the share of messages that meet
trouble from now on, `slow 0.5` is how long each message takes, `drop` cuts every open connection. It ends with its
stdin, so it never outlives who started it.
"""

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

from tests.fakes.http import Answer, Request
from tests.fakes.smtp import FakeSmtp, Stage, _Connection
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio, error_payload

# Longer than the round's PROVIDER_TIMEOUT_SECONDS.
TOO_LONG_SECONDS = 2.5
SMTP_STAGES = ("RCPT", "BODY", "ACCEPTED")


class MoodySmtp(FakeSmtp):
    """Refuse for now, hang, and hang up, before and after the mail is kept."""

    def __init__(self, *, port: int, journal: Path, dice: random.Random) -> None:
        super().__init__(port=port, log=journal)
        self.trouble = self.slow = 0.0
        self._dice = dice

    async def act(self, stage: Stage, connection: _Connection) -> str | None:
        """Put trouble in line for some of the visits, then do what is in line."""
        if stage in SMTP_STAGES and self._dice.random() < self.trouble / len(SMTP_STAGES):
            self._trouble(stage)
        if stage == "BODY":
            await asyncio.sleep(self.slow)
        answer = await super().act(stage, connection)
        # What is kept for a test's eyes would only grow here; the journal has it.
        self.commands.clear()
        self.mails.clear()
        return answer

    def _trouble(self, stage: Stage) -> None:
        match self._dice.choice(["later", "drop", "drop", "hang"]):
            case "later" if stage != "ACCEPTED":
                self.reply(stage, "451 4.7.1 Try again later")
            case "hang":
                self.hang(stage, TOO_LONG_SECONDS)
            case _:
                self.drop(stage)


class MoodyTwilio(FakeTwilio):
    """Answer 429 and 500, hang, and hang up, before and after the message is created."""

    def __init__(self, *, port: int, journal: Path, dice: random.Random) -> None:
        super().__init__(port=port, log=journal, login=(ACCOUNT_SID, AUTH_TOKEN))
        self.trouble = self.slow = 0.0
        self._dice = dice

    def serve(self, request: Request) -> Answer | None:
        """Answer, or not."""
        time.sleep(self.slow)
        answer = self._moody(request) if self._dice.random() < self.trouble else super().serve(request)
        self.requests.clear()
        self.messages.clear()
        return answer

    def _moody(self, request: Request) -> Answer | None:
        kind = self._dice.choice(["429", "429 later", "500", "500", "hang", "hang", "drop", "drop"])
        if kind.startswith("429"):
            return Answer(429, error_payload(20429, 429), {"Retry-After": "1"} if kind == "429 later" else {})
        if self._dice.random() < 0.5:
            super().serve(request)  # accepted, though nothing will say so
        if kind == "hang":
            time.sleep(TOO_LONG_SECONDS)
        return None if kind == "drop" else Answer(500, {"message": "Internal Server Error"})


def main() -> None:
    """Serve and obey until stdin ends."""
    options = argparse.ArgumentParser(description="a provider in a bad mood")
    options.add_argument("kind", choices=["smtp", "twilio"])
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--journal", type=Path, required=True)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    kind = MoodySmtp if given.kind == "smtp" else MoodyTwilio
    with kind(port=given.port, journal=given.journal, dice=random.Random(given.seed)) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        for line in sys.stdin:
            match line.split():
                case ["trouble", share]:
                    server.trouble = float(share)
                case ["slow", seconds]:
                    server.slow = float(seconds)
                case ["drop"]:
                    server.drop_connections()


if __name__ == "__main__":
    main()
