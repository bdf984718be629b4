"""How much memory is there, and how much is taken?  Asked of control groups of both versions, as Linux shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensus import memory
from sensus.memory import Memory

GIB = 2**30
MACHINE = Memory(used=3 * GIB, limit=8 * GIB)
# What version 1 says where there is no limit: the largest number of whole pages.
NO_LIMIT = 9223372036854771712

V2 = ("0::/\n", "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n")
V1 = (
    "9:cpu,cpuacct:/docker/c1\n4:memory:/docker/c1\n0::/\n",
    "31 30 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:28 /docker/c1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    return tmp_path


def process_in(root: Path, cgroup: str, mountinfo: str) -> None:
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text(f"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n{mountinfo}")


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"memory.{name}").write_text(f"{content}\n")


def test_a_container_has_its_own_limit_and_what_it_could_drop_is_not_used(root: Path) -> None:
    process_in(root, *V2)
    stat = "anon 300\nfile 500\ninactive_anon 7\ninactive_file 200\nactive_file 300"
    group(root / "sys/fs/cgroup", max=GIB, current=1000, stat=stat)
    assert memory.tightest(MACHINE, root) == Memory(used=800, limit=GIB)


def test_a_container_of_version_1_has_too(root: Path) -> None:
    process_in(root, *V1)
    stat = "cache 1\ninactive_file 1\nhierarchical_memory_limit 5\ntotal_inactive_file 200"
    group(root / "sys/fs/cgroup/memory", limit_in_bytes=GIB, usage_in_bytes=1000, stat=stat)
    assert memory.tightest(MACHINE, root) == Memory(used=800, limit=GIB)


def test_of_groups_within_each_other_the_least_limit_counts(root: Path) -> None:
    process_in(root, "0::/sensus.slice/sensus.service/web\n", V2[1])
    slice_ = root / "sys/fs/cgroup/sensus.slice"
    group(slice_, max=2 * GIB, current=1500, stat="inactive_file 0")
    group(slice_ / "sensus.service", max=GIB, current=1000, stat="inactive_file 100")
    group(slice_ / "sensus.service" / "web", max="max", current=600, stat="inactive_file 0")
    assert memory.tightest(MACHINE, root) == Memory(used=900, limit=GIB)


def test_a_container_that_is_shown_the_paths_of_its_machine_finds_its_group_at_the_mount(root: Path) -> None:
    process_in(root, "4:memory:/kubepods/pod1/c1\n", V1[1])
    group(root / "sys/fs/cgroup/memory", limit_in_bytes=GIB, usage_in_bytes=10, stat="total_inactive_file 0")
    assert memory.tightest(MACHINE, root) == Memory(used=10, limit=GIB)


@pytest.mark.parametrize("limit", ["max", str(NO_LIMIT), str(MACHINE.limit), "0", "", "much"])
def test_without_a_limit_it_is_the_memory_of_the_machine(root: Path, limit: str) -> None:
    process_in(root, *V2)
    group(root / "sys/fs/cgroup", max=limit, current=1000, stat="inactive_file 200")
    assert memory.tightest(MACHINE, root) == MACHINE


def test_without_control_groups_it_is_the_memory_of_the_machine(root: Path) -> None:
    assert memory.tightest(MACHINE, root) == MACHINE
    process_in(root, *V2)
    assert memory.tightest(MACHINE, root) == MACHINE
    process_in(root, "0::/\n", "")
    assert memory.tightest(MACHINE, root) == MACHINE


@given(
    cgroup=st.text() | st.sampled_from((V1[0], V2[0], "0::/..\n", "0::/../../etc\n")),
    mountinfo=st.text() | st.sampled_from((V1[1], V2[1])),
    found=st.lists(st.text() | st.integers().map(str), min_size=3, max_size=3),
)
def test_whatever_the_files_say_there_is_an_answer(
    tmp_path_factory: pytest.TempPathFactory, cgroup: str, mountinfo: str, found: list[str]
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup, "utf-8", "surrogatepass")
    (root / "proc/self/mountinfo").write_text(mountinfo, "utf-8", "surrogatepass")
    limit, current, stat = found
    for name, text in {"max": limit, "current": current, "stat": f"inactive_file {stat}"}.items():
        (root / "sys/fs/cgroup").mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / f"memory.{name}").write_text(text, "utf-8", "surrogatepass")
    answer = memory.tightest(MACHINE, root)
    assert 0 < answer.limit <= MACHINE.limit
    assert answer.used >= 0


def test_this_process_has_some() -> None:
    now = memory.now()
    assert now.used > 0
    assert now.limit > 100 * 2**20
