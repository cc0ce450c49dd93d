"""``clearfacts users``, ``api-keys``, ``keys`` and ``audit`` as they are typed."""

from __future__ import annotations

import json
import subprocess

import pytest
from sqlalchemy import text

from clearfacts_assets.storage.accounts import audit
from clearfacts_assets.storage.accounts.keyring import parse
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets_tests.fixtures.command import Command
from clearfacts_assets_tests.fixtures.databases import PostgresServer

PASSWORD = "plum tractor violet"
# A sequence is not rolled back. A deferred trigger speaks when the transaction is committed.
FIRST_COMMIT_FAILS = """
CREATE SEQUENCE commits;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('commits') = 1 THEN RAISE EXCEPTION USING ERRCODE = '{}', MESSAGE = 'failed'; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON audit_logs DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION fail();
"""
COLLISION, DISK_FULL = "40001", "53100"


def typed(command: Command, *arguments: str, line: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command with a line on its standard input."""
    return command(*arguments, line=line, code=code)


def test_the_first_admin_is_made_by_a_command_and_never_by_a_default(command: Command) -> None:
    assert command.json("users", "list") == {"users": [], "next_cursor": None}
    admin = ("users", "add", "an", "--email", "an@example.com", "--role", "admin")
    assert "--password-stdin" in typed(command, *admin, code=2).stderr
    weak = typed(command, *admin, "--password-stdin", line="hunter2\n", code=1)
    assert "12 are needed" in weak.stderr
    assert "hunter2" not in weak.stderr + weak.stdout
    made = json.loads(typed(command, *admin, "--password-stdin", "--json", line=f"{PASSWORD}\n").stdout)
    assert (made["username"], made["role"], made["is_active"]) == ("an", "admin", True)
    assert "last active admin" in typed(command, "users", "disable", "an", code=1).stderr
    assert "there is no user bo" in typed(command, "users", "set-role", "bo", "user", code=1).stderr
    assert PASSWORD not in str(audit.entries(command.engine()).items)


def test_a_user_is_bound_to_an_investigator_by_any_of_the_persons_names(command: Command) -> None:
    add = ("users", "add", "ada", "--email", "ada@example.com", "--password-stdin")
    typed(command, *add, line=f"{PASSWORD}\n")
    command.json("chargeback", "investigators", "add", "ada@bio.example.edu")
    command.json("chargeback", "investigators", "alias", "ada@bio.example.edu", "alovelace")
    bind = ("users", "set", "ada", "--investigator")
    assert command.json(*bind, "Alovelace")["investigator"] == "ada@bio.example.edu"
    assert command.json(*bind, "Alovelace")["investigator"] == "ada@bio.example.edu"
    assert "of the role user" in typed(command, "users", "set-role", "ada", "reviewer", code=1).stderr
    assert "no e-mail address" in typed(command, *bind, "somebody", code=1).stderr
    assert command.json(*bind, "")["investigator"] is None
    typed(command, "users", "set", "ada", code=2)
    actions = [one.action for one in audit.entries(command.engine()).items if one.resource_type == "user"]
    assert actions == ["user.unbound", "user.bound", "user.added"]


def test_keys_of_services_and_of_ours(command: Command) -> None:
    key = typed(command, "api-keys", "add", "erp", "--scope", "jobs:read").stdout.strip()
    assert key.startswith("cfk_")
    assert key not in typed(command, "api-keys", "list", "--json").stdout
    assert "users:manage" in typed(command, "api-keys", "add", "x", "--scope", "users:manage", code=2).stderr
    typed(command, "api-keys", "revoke", "erp")
    typed(command, "keys", "rotate", "signing")
    rings = [one["purpose"] for one in command.json("keys", "list")]
    assert rings.count("signing") == 2
    assert parse(typed(command, "keys", "generate").stdout.strip(), "signing")


def test_a_rotation_is_audited_by_the_new_keys_name(command: Command) -> None:
    for purpose in ("signing", "encryption"):
        typed(command, "keys", "rotate", purpose)
    newest = {one["purpose"]: one["name"] for one in reversed(command.json("keys", "list"))}
    entries = [one for one in audit.entries(command.engine()).items if one.action == "key.rotated"]
    assert {one.details["after"]["purpose"]: one.resource_id for one in entries} == newest
    assert all(one.details["actor"].endswith("(command line)") for one in entries)
    secrets = [one["secret"] for file in (command.home / "keys").glob("*.json") for one in json.loads(file.read_text())]
    assert len(secrets) == 3  # two that sign, one that encrypts
    assert not any(secret in str(entries) for secret in secrets)


def test_keys_of_a_setting_are_audited_when_they_come_into_use(command: Command) -> None:
    key = typed(command, "keys", "generate").stdout.strip()
    command.environment["CLEARFACTS_AUTH__ENCRYPTION_KEYS"] = key
    typed(command, "keys", "rotate", "encryption")
    (entry,) = audit.entries(command.engine()).items
    assert (entry.action, entry.resource_id) == ("key.rotated", key.partition(":")[0])


def test_without_a_database_for_the_entry_no_key_is_rotated(command: Command) -> None:
    before = command.json("keys", "list")
    command.environment["CLEARFACTS_DATABASE_URL"] = f"sqlite:///{command.home / 'nowhere' / 'clearfacts.db'}"
    for purpose in ("signing", "encryption"):
        typed(command, "keys", "rotate", purpose, code=1)
    assert command.json("keys", "list") == before


def test_where_the_entry_is_refused_no_key_is_rotated(command: Command) -> None:
    before = command.json("keys", "list")
    with command.engine().begin() as connection:
        connection.execute(
            text("CREATE TRIGGER full BEFORE INSERT ON audit_logs BEGIN SELECT RAISE(ABORT, 'full'); END")
        )
    for purpose in ("signing", "encryption"):
        typed(command, "keys", "rotate", purpose, code=1)
    assert command.json("keys", "list") == before


@pytest.mark.parametrize(("fault", "code"), [(COLLISION, 0), (DISK_FULL, 1)])
def test_a_key_is_rotated_once_and_only_if_its_entry_is_committed(
    command: Command, postgres_server: PostgresServer, migrated_template: str, fault: str, code: int
) -> None:
    command.environment["CLEARFACTS_DATABASE_URL"] = url = postgres_server.fresh(migrated_template)
    before = command.json("keys", "list")
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text(FIRST_COMMIT_FAILS.format(fault)))
    typed(command, "keys", "rotate", "signing", code=code)
    entries = audit.entries(engine).items
    engine.dispose()
    after = command.json("keys", "list")
    assert len(entries) == (1 if code == 0 else 0)
    assert [one["name"] for one in after if one not in before] == [entry.resource_id for entry in entries]
    assert all(one in after for one in before)


def test_a_key_that_cannot_be_kept_is_audited_as_not_rotated(command: Command) -> None:
    command.json("keys", "list")
    (command.home / "keys" / "signing.json").write_text("nothing that we wrote")
    typed(command, "keys", "rotate", "signing", code=1)
    begun, not_done = sorted(audit.entries(command.engine()).items, key=lambda entry: entry.position)
    assert (begun.action, not_done.action) == ("key.rotated", "key.not_rotated")
    assert not_done.resource_id == begun.resource_id


def test_the_audit_log_is_listed_and_verified(command: Command) -> None:
    typed(command, "api-keys", "add", "erp", "--scope", "jobs:read")
    (entry,) = command.json("audit", "list")["entries"]
    assert entry["action"] == "api_key.added"
    assert entry["details"]["actor"].endswith("(command line)")
    assert "api_key.added" in command("audit", "list").stdout
    whole = command.json("audit", "verify")
    assert (whole["entries"], whole["broken"], whole["head"]) == (1, None, entry["hash"])
    command("audit", "verify", "--contains", entry["hash"])
    assert "cut off" in command("audit", "verify", "--contains", "f" * 64, code=1).stderr
    from sqlalchemy import text

    with command.engine().begin() as connection:
        connection.execute(text("DROP TRIGGER audit_logs_no_update"))
        connection.execute(text("UPDATE audit_logs SET action = 'nothing'"))
    assert "broken at entry 1" in command("audit", "verify", code=1).stderr


def test_a_secret_that_can_be_guessed_ends_the_start(command: Command) -> None:
    secret = "changeme" * 5
    command.environment["CLEARFACTS_AUTH__SIGNING_KEYS"] = f"k1:{secret}"
    refused = typed(command, "serve", "--port", "0", code=1)
    assert "signing key k1 can be guessed" in refused.stderr
    assert secret not in refused.stderr + refused.stdout
