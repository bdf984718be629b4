"""A diff is read for what it can break, and a change is blamed only when that is what broke."""

from __future__ import annotations

import pytest

from ml.changes.attribution import attribute, candidates_of
from ml.changes.diffs import parse_diff
from ml.changes.hazards import hazards_of
from ml.changes.scenario import (
    NO_CHANGE,
    ChangeAlert,
    Commit,
    Deploy,
    LogLine,
    MetricSeries,
    Pattern,
    Scenario,
    Span,
    StatusEvent,
)

MINUTE = 60.0
ALERT = 10_000.0


def commit(
    diff: str, *files: str, sha: str = "c1", message: str = "tidy up", at: float = ALERT - 20 * MINUTE
) -> Commit:
    return Commit(sha, at, message, files or ("svc/main.go",), diff)


HARMFUL = {
    "a pool that shrank": ("svc/db.go", "@@\n-\tdb.SetMaxOpenConns(100)\n+\tdb.SetMaxOpenConns(5)"),
    "a query for each item": (
        "svc/order.py",
        "@@\n-    items = repo.find_by_ids(ids)\n"
        "+    items = []\n+    for i in ids:\n+        items.append(repo.find_one(i))",
    ),
    "an index that went": ("migrations/042.sql", "@@\n+DROP INDEX idx_orders_customer;"),
    "a field with another name": (
        "api/dto.go",
        '@@\n-\tUserID string `json:"user_id"`\n+\tUserID string `json:"userId"`',
    ),
    "a limit of time that shrank": (
        "svc/client.go",
        "@@\n-\ttimeout: 5 * time.Second\n+\ttimeout: 300 * time.Millisecond",
    ),
    "a life that shrank": ("svc/cache.yaml", "@@\n-  ttl: 300s\n+  ttl: 5s"),
    "a guard that went": (
        "svc/u.go",
        "@@\n-\tif user.Profile == nil {\n-\t\treturn defaultProfile\n-\t}\n \treturn user.Profile.Name",
    ),
    "a body that nobody closes": (
        "svc/f.go",
        "@@\n \tresp, err := http.Get(u)\n-\tdefer resp.Body.Close()\n \treturn parse(resp)",
    ),
    "less memory": ("charts/x/values.yaml", "@@\n   limits:\n-    memory: 1Gi\n+    memory: 256Mi"),
    "a turned condition": ("svc/a.go", "@@\n-\tif quota.Used < quota.Limit {\n+\tif quota.Used > quota.Limit {"),
    "a switch": ("conf/app.yaml", "@@\n-  enable_cache: true\n+  enable_cache: false"),
    "a store that only grows": ("svc/x.py", "@@\n+SEEN = {}\n+\n+def remember(req):\n+    SEEN[req.id] = req"),
    "a bound that went": ("svc/q.sql", "@@\n-SELECT * FROM t WHERE tenant = $1 LIMIT 50\n+SELECT * FROM t"),
    "a wait that went": ("svc/p.ts", "@@\n-  await store.save(x);\n+  store.save(x);"),
}
HARMLESS = {
    "a comment": ("svc/a.go", "@@\n+// timeout is 5s here\n-// timeout was 50s"),
    "a test": ("svc/a_test.go", "@@\n-\ttimeout: 5s\n+\ttimeout: 5ms"),
    "a document": ("README.md", "@@\n-timeout: 5s\n+timeout: 1s"),
    "a style": ("web/app.css", "@@\n-  width: 100px\n+  width: 10px"),
    "a line of the log": ("svc/a.py", '@@\n-    logger.info("took %s", t)\n+    logger.info("request took %s ms", t)'),
    "a patch of a dependency": ("go.mod", "@@\n-\tgithub.com/x/y v1.2.3\n+\tgithub.com/x/y v1.2.4"),
    "moved code": (
        "svc/a.go",
        "@@\n-\tif err := check(req); err != nil {\n-\t\treturn err\n-\t}\n"
        "@@\n+\tif err := check(req); err != nil {\n+\t\treturn err\n+\t}",
    ),
}


@pytest.mark.parametrize("name", sorted(HARMFUL))
def test_what_can_break_something_is_seen(name: str) -> None:
    file, diff = HARMFUL[name]
    assert hazards_of(commit(diff, file))[0].strength >= 0.4, hazards_of(commit(diff, file))


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_what_breaks_nothing_is_passed_over(name: str) -> None:
    file, diff = HARMLESS[name]
    assert max((hazard.strength for hazard in hazards_of(commit(diff, file))), default=0.0) < 0.2


def scenario(*commits: Commit, deploys: tuple[Deploy, ...] = (), **further: object) -> Scenario:
    logs = tuple(
        LogLine(ALERT - 60 + 5 * n, "checkout", "ERROR", f"context deadline exceeded after 30{n}ms") for n in range(8)
    )
    given = {
        "alert": ChangeAlert("checkout", "rpc_error_rate", ALERT, "checkout: calls time out"),
        "commits": commits,
        "deploys": deploys,
        "logs": logs,
        **further,
    }
    return Scenario(**given)  # type: ignore[arg-type]


CULPRIT = commit(HARMFUL["a limit of time that shrank"][1], "svc/client.go", sha="culprit")
DECOY = commit(
    "@@\n-\treturn decode(req)\n+\treq := decodeRequest(req)\n+\treturn req",
    "svc/handler.go",
    sha="decoy",
    message="fix timeout of checkout calls",
    at=ALERT - 3 * MINUTE,
)


def test_the_change_that_explains_the_symptoms_is_blamed_not_the_latest() -> None:
    deploys = (Deploy(ALERT - 15 * MINUTE, "checkout", "culprit"), Deploy(ALERT - 2 * MINUTE, "checkout", "decoy"))
    answer = attribute(scenario(CULPRIT, DECOY, deploys=deploys))
    assert (answer.commit, answer.first_failing_service, answer.remediation) == ("culprit", "checkout", "rollback")
    scores = {candidate.sha: candidate.score for candidate in answer.candidates}
    assert scores["decoy"] < 0.4 < scores["culprit"]


def test_when_it_was_made_never_speaks_for_a_change() -> None:
    early, late = (
        attribute(scenario(CULPRIT, deploys=(Deploy(ALERT - minutes * MINUTE, "checkout", "culprit"),)))
        for minutes in (600, 5)
    )
    assert early.candidates[0].score == late.candidates[0].score


def test_a_change_that_came_after_the_trouble_or_elsewhere_is_not_blamed() -> None:
    after = (Deploy(ALERT + 30 * MINUTE, "checkout", "culprit"),)
    elsewhere = (Deploy(ALERT - 15 * MINUTE, "mailer", "culprit"),)
    assert attribute(scenario(CULPRIT, deploys=after)).commit == NO_CHANGE
    assert attribute(scenario(CULPRIT, deploys=elsewhere)).commit == NO_CHANGE


def test_nothing_is_blamed_when_no_change_explains_it() -> None:
    assert attribute(scenario(DECOY, deploys=(Deploy(ALERT - 2 * MINUTE, "checkout", "decoy"),))).commit == NO_CHANGE
    assert attribute(scenario()).commit == NO_CHANGE
    assert candidates_of(scenario(commit("", "a.go"))) == ()


@pytest.mark.parametrize(
    ("further", "operational", "remediation"),
    [
        (
            {"status": (StatusEvent(ALERT - 120, "degraded", "S3 us-east-1 outage; other regions normal"),)},
            "provider",
            "failover",
        ),
        (
            {
                "metrics": (
                    MetricSeries(
                        "checkout",
                        "requests_per_sec",
                        tuple(ALERT - 3600 + 60.0 * n for n in range(60)),
                        tuple(900.0 if n < 50 else 5000.0 for n in range(60)),
                    ),
                )
            },
            "surge",
            "scale",
        ),
    ],
)
def test_a_cause_that_no_change_can_be_is_named(further: dict[str, object], operational: str, remediation: str) -> None:
    answer = attribute(scenario(DECOY, **further))
    assert (answer.commit, answer.operational, answer.remediation) == (NO_CHANGE, operational, remediation)


def test_odd_input_is_no_error() -> None:
    odd = Scenario(
        alert=ChangeAlert("", "", 0.0, ""),
        commits=(commit("@@\n+++++\n----\n\\ no newline\n@@@@\n-\n+", "x"), Commit("", 0.0, "", (), "\x00\n+++ b/\n-")),
        spans=(Span("a", "b", True, "boom", 0.0),),
        patterns=(Pattern("a", "error <*>", 3.0, True),),
        metrics=(MetricSeries("a", "m", (), ()), MetricSeries("a", "n", (1.0,) * 30, (0.0,) * 30)),
    )
    assert attribute(odd).commit


def test_a_generated_diff_is_read_in_part() -> None:
    lines = [f"    x = call_{i}(a, b={i})" for i in range(1200)]
    diff = "\n".join(("@@", *(f"-{line}" for line in lines), *(f"+{line}0" for line in lines), "+" + "y" * 100_000))
    (hunk,) = parse_diff(diff, ("a.py",))
    assert len(hunk.removed) <= 50 >= len(hunk.added), "its lines are compared each with each"
    assert max(map(len, hunk.added)) <= 400
