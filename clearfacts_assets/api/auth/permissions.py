"""Who may do what: the one table of roles. The tests' matrix and docs/security.md are made from it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person, or a service, is to us. One each."""

    ADMIN = "admin"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    USER = "user"
    SERVICE = "service"


class Permission(StrEnum):
    """One thing that can be allowed; a route asks for exactly one."""

    INVOICES_READ = "invoices:read"
    INVOICES_PROCESS = "invoices:process"
    JOBS_READ = "jobs:read"
    JOBS_RETRY = "jobs:retry"
    DELIVERIES_READ = "deliveries:read"
    DELIVERIES_RESOLVE = "deliveries:resolve"
    HEALTH_READ = "health:read"
    METRICS_READ = "metrics:read"
    CONNECTIONS_TEST = "connections:test"
    USERS_MANAGE = "users:manage"
    KEYS_MANAGE = "keys:manage"
    CONFIGURATION_READ = "configuration:read"
    CONFIGURATION_WRITE = "configuration:write"
    AUDIT_READ = "audit:read"
    CHARGES_READ = "charges:read"
    CHARGEBACK_READ = "chargeback:read"
    CHARGES_REVIEW = "charges:review"
    COSTS_IMPORT = "costs:import"
    REGISTRY_WRITE = "registry:write"
    PERIODS_CLOSE = "periods:close"
    PERIODS_FINALIZE = "periods:finalize"
    CHARGEBACK_EXPORT = "chargeback:export"
    RULES_WRITE = "rules:write"
    RULES_APPROVE = "rules:approve"
    STATEMENTS_READ = "statements:read"
    STATEMENTS_ISSUE = "statements:issue"
    STATEMENTS_DISPUTE = "statements:dispute"
    EMAILS_SEND = "emails:send"
    JOURNALS_WRITE = "journals:write"
    JOURNALS_FETCH = "journals:fetch"
    DAGSTER_READ = "dagster:read"
    DAGSTER_WRITE = "dagster:write"
    DAGSTER_ADMINISTER = "dagster:administer"


MEANINGS: dict[Permission, str] = {
    Permission.INVOICES_READ: "see invoices, their findings and their documents",
    Permission.INVOICES_PROCESS: "start a job",
    Permission.JOBS_READ: "see jobs and what they came to",
    Permission.JOBS_RETRY: "start again what failed",
    Permission.DELIVERIES_READ: "see deliveries with all evidence",
    Permission.DELIVERIES_RESOLVE: "decide about a delivery that waits for a person",
    Permission.HEALTH_READ: "see how the systems around us are",
    Permission.METRICS_READ: "read metrics",
    Permission.CONNECTIONS_TEST: "try a connection to an outside system",
    Permission.USERS_MANAGE: "see, add, change and disable users",
    Permission.KEYS_MANAGE: "see, make and revoke API keys",
    Permission.CONFIGURATION_READ: "see the configuration (never its secrets)",
    Permission.CONFIGURATION_WRITE: "change the configuration",
    Permission.AUDIT_READ: "read the audit log",
    Permission.CHARGES_READ: "see charges, and what they add up to",
    Permission.CHARGEBACK_READ: "see the rest of chargeback: imports, what waits, the registry, how a month reconciles",
    Permission.CHARGES_REVIEW: "decide about charges that wait, and answer what is objected to",
    Permission.COSTS_IMPORT: "import cost exports, and take imports back",
    Permission.REGISTRY_WRITE: "change investigators, projects, funds, exceptions, overrides and cost sources",
    Permission.PERIODS_CLOSE: "open, close and reopen a month",
    Permission.PERIODS_FINALIZE: "seal a month for ever",
    Permission.CHARGEBACK_EXPORT: "take charges and statements away as files",
    Permission.RULES_WRITE: "write rates and rules, and apply them to a month",
    Permission.RULES_APPROVE: "approve rates and rules that somebody else wrote",
    Permission.STATEMENTS_READ: "see statements, and what was objected to",
    Permission.STATEMENTS_ISSUE: "issue and void statements",
    Permission.STATEMENTS_DISPUTE: "object to a statement",
    Permission.EMAILS_SEND: "send statements by e-mail, and decide about mails in doubt",
    Permission.JOURNALS_WRITE: "export, transfer, accrue and take back journals",
    Permission.JOURNALS_FETCH: "fetch journals' files, and say what the general ledger made of them",
    Permission.DAGSTER_READ: "look at Dagster's UI",
    Permission.DAGSTER_WRITE: "act in Dagster's UI: launch, stop, backfill, switch schedules",
    Permission.DAGSTER_ADMINISTER: "the rest of it: delete, wipe, report, reload, shut down, set limits and cursors",
}

_SEES = frozenset(
    {
        Permission.INVOICES_READ,
        Permission.JOBS_READ,
        Permission.DELIVERIES_READ,
        Permission.HEALTH_READ,
        Permission.CHARGES_READ,
        Permission.CHARGEBACK_READ,
        Permission.STATEMENTS_READ,
        Permission.DAGSTER_READ,
    }
)
_BILLS = frozenset(
    {
        Permission.CHARGES_REVIEW,
        Permission.PERIODS_FINALIZE,
        Permission.CHARGEBACK_EXPORT,
        Permission.RULES_APPROVE,
        Permission.STATEMENTS_ISSUE,
        Permission.STATEMENTS_DISPUTE,
        Permission.EMAILS_SEND,
        Permission.JOURNALS_WRITE,
        Permission.JOURNALS_FETCH,
    }
)
_OPERATES = (
    _SEES
    | _BILLS
    | {
        Permission.INVOICES_PROCESS,
        Permission.JOBS_RETRY,
        Permission.DELIVERIES_RESOLVE,
        Permission.METRICS_READ,
        Permission.CONNECTIONS_TEST,
        Permission.CONFIGURATION_READ,
        Permission.COSTS_IMPORT,
        Permission.REGISTRY_WRITE,
        Permission.PERIODS_CLOSE,
        Permission.RULES_WRITE,
        Permission.DAGSTER_WRITE,
    }
)

ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: _OPERATES,
    Role.REVIEWER: _SEES | _BILLS | {Permission.DELIVERIES_RESOLVE},
    Role.USER: _SEES,
    # The most that an API key can be given; each key has its own scopes out of these. A verdict is a person's.
    Role.SERVICE: frozenset(
        {
            Permission.INVOICES_READ,
            Permission.INVOICES_PROCESS,
            Permission.JOBS_READ,
            Permission.JOBS_RETRY,
            Permission.DELIVERIES_READ,
            Permission.HEALTH_READ,
            Permission.METRICS_READ,
            Permission.CHARGES_READ,
            Permission.CHARGEBACK_READ,
            Permission.CHARGEBACK_EXPORT,
            Permission.STATEMENTS_READ,
            Permission.COSTS_IMPORT,
            Permission.JOURNALS_FETCH,
        }
    ),
}

# All that a user may do who is bound to an investigator, and of that the own charges and statements only: whatever
# else there is to be seen here, in Dagster's UI too, tells of other people's. The own ones may be taken away and
# objected to.
BOUND = frozenset(
    {
        Permission.CHARGES_READ,
        Permission.CHARGEBACK_EXPORT,
        Permission.STATEMENTS_READ,
        Permission.STATEMENTS_DISPUTE,
    }
)


def roles_as_markdown() -> str:
    """The table in docs/security.md: a line a permission, a column a role."""
    lines = [f"| permission | | {' | '.join(Role)} |", "|---|---|" + ":-:|" * len(Role)]
    lines += [
        f"| `{one}` | {MEANINGS[one]} | {' | '.join('x' if one in ALLOWED[role] else '' for role in Role)} |"
        for one in Permission
    ]
    return "\n".join(lines)
