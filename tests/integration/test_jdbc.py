"""Flight SQL through its JDBC driver, where Java and Maven are; elsewhere these tests are skipped, and say so."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
DRIVER = "18.3.0"
NEEDED = ("java", "javac", "mvn")

Run = Callable[[Path], str]


@pytest.fixture(scope="module")
def driver() -> Path:
    """The driver, fetched once for all runs."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"JDBC IS NOT TESTED: there is no {' and no '.join(missing)}")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rasterflight" / "jdbc"
    jar = cache / f"flight-sql-jdbc-driver-{DRIVER}.jar"
    if not jar.exists():
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
        artifact = f"-Dartifact=org.apache.arrow:flight-sql-jdbc-driver:{DRIVER}"
        command = ["mvn", "-q", "-B", goal, artifact, f"-DoutputDirectory={cache}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        if done.returncode:
            pytest.skip(f"JDBC IS NOT TESTED: Maven does not find the driver: {done.stdout[-300:]}")
    return jar


@pytest.fixture(scope="module")
def run(driver: Path, indexes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory):
    classes = tmp_path_factory.mktemp("classes")

    def run(source: Path) -> str:
        subprocess.run(["javac", "-d", classes, source], check=True, timeout=120)
        place = server.url.removeprefix("grpc://")
        command = [
            *("java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", f"{classes}{os.pathsep}{driver}"),
            *("-Duser.timezone=UTC", source.stem, f"jdbc:arrow-flight-sql://{place}?useEncryption=false"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with ServerProcess({"ny": indexes["ny"]}) as server:
        yield run


def test_the_code_on_the_page(run: Run, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "flight-sql.md").read_text()
    code, _, rest = page.partition("```java\n")[2].partition("```\n")
    output = rest.partition("```console\n")[2].partition("```\n")[0]
    source = tmp_path / "Ndvi.java"
    source.write_text(code)
    assert run(source) == output
    assert output.count("\n") == 4
    assert DRIVER in rest


def test_what_tools_ask(run: Run) -> None:
    told = run(ROOT / "tests" / "support" / "jdbc" / "Driver.java").splitlines()
    assert not [line for line in told if line.startswith("no fact")]
    for line in [
        "fact: isReadOnly = true",
        "fact: supportsTransactions = false",
        "fact: getDatabaseProductName = rasterflight",
        "fact: nullsAreSortedAtEnd = true",
        "catalogs: rasterflight;",
        "schemas: information_schema; main;",
        "types: TABLE; VIEW;",
        "tables: ny;",
        "primary keys:",
        "imported keys:",
        "exported keys:",
        "cross reference:",
        "records: LC08_L1TP_013032_20180405_20180417_01_T1 2018-04-05 00:00:00.0;",
        "struct: [xmin, ymin, xmax, ymax]",
        "parameters: 5",
        "prepared: LC08_L1TP_013032_20180405_20180417_01_T1; LC08_L1TP_013032_20180710_20180717_01_T1;",
        "prepared: LC08_L1TP_014032_20180428_20180502_01_T1; LC08_L1TP_014032_20180903_20180912_01_T1;",
    ]:
        assert line in told, "\n".join(told)
    [columns] = [line for line in told if line.startswith("columns:")]
    assert columns.startswith("columns: id VARCHAR; datetime TIMESTAMP_WITH_TIMEZONE; geometry VARBINARY;")
    assert any(line.startswith("arguments: ") and int(line[11:-1]) > 0 for line in told)
    assert any(line.startswith("update: ") and "the statement is not a SELECT" in line for line in told)
    assert any(line.startswith("query: ") and 'Referenced column "foo" not found' in line for line in told)
