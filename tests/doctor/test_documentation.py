"""Every name that the doctor prints is explained, and nothing else is."""

import re

from affectd.daemon.doctor import CHECKS
from affectd.daemon.doctor.finding import Problem
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()


def test_each_finding_has_a_section_and_each_section_a_finding() -> None:
    assert sorted(re.findall(r"^### (\S+)$", PAGE, re.MULTILINE)) == sorted(
        problem.slug for problem in Problem
    )


def test_each_section_says_more_than_its_name() -> None:
    sections = dict(re.findall(r"^### (\S+)\n\n(.+?)(?=\n#|\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert len(sections) == len(Problem)
    assert all(len(text.split()) >= 8 for text in sections.values())


def test_each_finding_is_made_somewhere() -> None:
    modules = [*(ROOT / "daemon" / "doctor").glob("*.py")]
    code = "\n".join(path.read_text() for path in modules if path.name != "finding.py")
    assert {problem.name for problem in Problem if f"Problem.{problem.name}" not in code} == set()


def test_each_check_has_a_module() -> None:
    for name in CHECKS:
        assert (ROOT / "daemon" / "doctor" / f"{name.replace('-', '_')}.py").is_file()
