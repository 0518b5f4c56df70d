"""What is shipped: the container file, the systemd unit and the Kubernetes manifest, as far as they can be checked without their engines."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import kubernetes_validate
import pytest

from rasterflight_server.cli import main
from rasterflight_server.flight.processes import _END_SECONDS
from rasterflight_server.settings.load import load
from rasterflight_server.settings.sources import from_environment
from support.deploy import (
    CONTAINERFILE,
    DEPLOY,
    ROOT,
    UNIT,
    command_of,
    instructions,
    manifest,
    settings_text,
    unit,
)

KINDS = ["container", "systemd", "kubernetes"]


def settings_of(where: str, tmp_path: Path):
    path = tmp_path / "rasterflight.toml"
    path.write_text(settings_text(where))
    return load(path).settings


@pytest.mark.parametrize("where", KINDS)
def test_settings(where: str, tmp_path: Path) -> None:
    settings = settings_of(where, tmp_path)
    assert settings.server.listen == "grpc+tls://0.0.0.0:8815"
    assert settings.tls.key is not None
    assert settings.access.tokens is not None
    assert not settings.access.anonymous
    # The folder of the user may be missing, or read-only.
    assert settings.cache.indexes == Path("/var/cache/rasterflight/indexes")


def tool(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not installed: {DEPLOY.name} is checked in part only")
    return found


# The container file.


def test_the_container_file_is_sound() -> None:
    done = subprocess.run([tool("hadolint"), CONTAINERFILE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def sources(stage: int) -> list[str]:
    """What is copied from the project."""
    copies = [one.rest.split() for one in instructions() if one.name == "COPY" and one.stage == stage]
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


def test_what_is_copied_is_there_and_nothing_else_is_sent() -> None:
    named = {*sources(1), *sources(2)}
    assert all((ROOT / source).exists() for source in named)
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert all(any(source == one or source.startswith(f"{one}/") for one in sent) for source in named)
    assert all(any(source == one or source.startswith(f"{one}/") for source in named) for one in sent)


def test_the_image() -> None:
    last = max(one.stage for one in instructions())
    assert last == 2
    found = {one.name: one.rest for one in instructions() if one.stage == last}
    user, group = found["USER"].split(":")
    assert int(user) == int(group) > 1000
    made = " ".join(one.rest for one in instructions() if one.name == "RUN" and one.stage == last)
    assert f"--uid {user} " in made
    assert f"groupadd --system --gid {group} " in made
    assert found["STOPSIGNAL"] == "SIGTERM"
    # In the form that starts no shell, which would keep signals for itself.
    assert json.loads(found["ENTRYPOINT"]) == ["rasterflight-server"]
    assert json.loads(found["CMD"]) == ["serve"]
    assert all("slim" in one.rest for one in instructions() if one.name == "FROM")
    words = re.findall(r"[A-Z]\w*(?:KEY|SECRET|TOKEN|PASSWORD)\w*", CONTAINERFILE.read_text())
    assert words == []


def environment_of_the_image() -> dict[str, str]:
    (line,) = (one.rest for one in instructions() if one.name == "ENV")
    return dict(word.split("=", 1) for word in line.split())


def test_the_command_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``docker run IMAGE config --check`` and ``config --show``, with the variables of the image."""
    (settings,) = (one.rest.split() for one in instructions() if one.name == "COPY" and "container.toml" in one.rest)
    for name, value in environment_of_the_image().items():
        if name.startswith("RASTERFLIGHT_"):
            assert value == settings[1]
            monkeypatch.setenv(name, str(tmp_path / "rasterflight.toml"))
    shutil.copy(ROOT / settings[0], tmp_path / "rasterflight.toml")
    assert main(["config", "--check"]) == 0
    assert main(["config", "--show"]) == 0
    out = capsys.readouterr().out
    assert f'tokens = "{tmp_path}/tokens/tokens.json"' in out
    # It names no collection: that is for whoever runs it.
    assert main(["serve"]) == 1
    assert "there is no collection to serve" in capsys.readouterr().err


def test_the_image_looks_where_the_server_answers(tmp_path: Path) -> None:
    (check,) = (one.rest for one in instructions() if one.name == "HEALTHCHECK")
    words = json.loads(check[check.index("CMD") + len("CMD") :])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "HEALTHCHECK", "exec")
    http = settings_of("container", tmp_path).observe.http
    assert http is not None
    port = http.rpartition(":")[2]
    assert f"http://127.0.0.1:{port}/readyz" in words[2]
    exposed = next(one.rest for one in instructions() if one.name == "EXPOSE").split()
    assert port in exposed


def test_the_wheel_of_the_image(tmp_path: Path) -> None:
    """Made of what is copied, by the command that is there."""
    for source in sources(1):
        target = tmp_path / "source" / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target)
    (command,) = (one.rest for one in instructions() if one.rest.startswith("pip wheel"))
    words = command.replace("/wheels", str(tmp_path)).split()
    # What builds it is at hand: no test goes to the network.
    done = subprocess.run(
        [sys.executable, "-m", *words, "--no-build-isolation"],
        cwd=tmp_path / "source",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("rasterflight-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = message_from_string(next(archive.read(name) for name in names if name.endswith("/METADATA")).decode())
    tops = {name.partition("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {
        "rasterflight",
        "rasterflight_protocol",
        "rasterflight_server",
    }
    assert any(name.endswith(".toml") and "/presets/" in name for name in names)
    (install,) = (
        re.search(r"\[([\w,]+)\]", one.rest) for one in instructions() if " install " in one.rest and one.stage == 1
    )
    assert install is not None
    assert set(install[1].split(",")) <= set(about.get_all("Provides-Extra") or ())


# The systemd unit.


def test_the_unit_is_sound(tmp_path: Path) -> None:
    program = tmp_path / "rasterflight-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/rasterflight/bin/rasterflight-server", str(program)))
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", copy], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_is_locked_down() -> None:
    # The threshold is ten times what systemd shows.
    done = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=true", "--threshold=20", UNIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_unit_waits_for_streams(tmp_path: Path) -> None:
    grace = settings_of("systemd", tmp_path).server.grace
    assert float(unit()["TimeoutStopSec"][0]) > grace + _END_SECONDS
    assert unit()["KillMode"] == ["mixed"]


def test_what_the_unit_brings_and_lets_write(tmp_path: Path) -> None:
    settings = settings_of("systemd", tmp_path)
    brought = {value.partition(":")[0] for value in unit()["LoadCredential"]}
    folder = Path("/run/credentials") / UNIT.name
    assert {settings.tls.certificate, settings.tls.key} == {folder / name for name in brought}
    state, cache, logs = (
        Path(place) / unit()[key][0]
        for place, key in (
            ("/var/lib", "StateDirectory"),
            ("/var/cache", "CacheDirectory"),
            ("/var/log", "LogsDirectory"),
        )
    )
    assert settings.access.tokens == state / "tokens.json"
    assert settings.cache.disk is not None
    assert settings.cache.disk.parent == settings.cache.indexes.parent == cache
    assert settings.observe.access_log is not None
    assert settings.observe.access_log.parent == logs


def test_the_commands_of_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(DEPLOY / "rasterflight.toml", tmp_path)
    before, start = command_of("ExecStartPre"), command_of("ExecStart")
    assert start[1:2] == ["serve"]
    # The check is of the very settings that it is started with.
    assert before == [start[0], "config", "--check", *start[2:]]
    words = [word.replace("/etc/rasterflight", str(tmp_path)) for word in before]
    assert main(words[1:]) == 0
    assert capsys.readouterr().out == "the settings can be used\n"
    assert command_of("ExecReload") == ["/bin/kill", "-HUP", "$MAINPID"]


# The Kubernetes manifest.


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment", "Service", "PodDisruptionBudget"])
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_the_manifest_is_what_kubernetes_takes(kind: str, version: str) -> None:
    assert len(manifest()) == 4
    kubernetes_validate.validate(manifest()[kind], version, strict=True)


def pod() -> dict:
    return manifest()["Deployment"]["spec"]["template"]["spec"]


def container() -> dict:
    (found,) = pod()["containers"]
    return found


def port_of(address: str | None) -> int:
    assert address is not None
    return int(address.rpartition(":")[2])


def test_ports_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = settings_of("kubernetes", tmp_path)
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {
        "flight": port_of(settings.server.listen),
        "health": port_of(settings.observe.health),
        "http": port_of(settings.observe.http),
    }
    (port,) = manifest()["Service"]["spec"]["ports"]
    assert port["targetPort"] == "flight"
    # The kubelet comes from outside of the pod.
    assert settings.observe.health.startswith("0.0.0.0:")
    assert settings.observe.http.startswith("0.0.0.0:")


def test_probes() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    for probe in ("startupProbe", "readinessProbe"):
        assert container()[probe]["grpc"] == {"port": ports["health"]}
    # While it drains, the health service says NOT_SERVING: a server that is killed for that ends no stream well.
    assert container()["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_a_pod_has_time_to_drain(tmp_path: Path) -> None:
    grace = settings_of("kubernetes", tmp_path).server.grace
    pause = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    readiness = container()["readinessProbe"]
    assert pause >= readiness["periodSeconds"] * readiness["failureThreshold"]
    assert pod()["terminationGracePeriodSeconds"] > pause + grace + _END_SECONDS
    spec = manifest()["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["replicas"] > manifest()["PodDisruptionBudget"]["spec"]["minAvailable"]


def test_selectors_find_the_pods() -> None:
    labels = manifest()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifest()["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifest()["Service"]["spec"]["selector"] == labels
    assert manifest()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels


def test_files_of_the_settings_are_mounted(tmp_path: Path) -> None:
    settings = settings_of("kubernetes", tmp_path)
    mounts = {mount["name"]: mount for mount in container()["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    assert set(mounts) == set(volumes)
    for path, name in ((settings.tls.key, "tls"), (settings.access.tokens, "tokens")):
        assert path is not None
        assert str(path.parent) == mounts[name]["mountPath"]
        # Only a whole folder is brought up to date when the Secret changes.
        assert "subPath" not in mounts[name]
        assert "secret" in volumes[name]
    for path in (settings.cache.disk, settings.cache.indexes):
        assert path is not None
        assert str(path.parent) == mounts["cache"]["mountPath"]
    assert "emptyDir" in volumes["cache"]
    # Both caches and the log of the pod have room.
    assert volumes["cache"]["emptyDir"]["sizeLimit"] == "24Gi"
    assert settings.cache.disk_size < 24 << 30
    assert settings.cache.memory < 4 << 30
    assert container()["resources"]["limits"]["memory"] == "4Gi"


def test_a_pod_may_do_little() -> None:
    user = int(next(one.rest for one in instructions() if one.name == "USER").partition(":")[0])
    context = pod()["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == user
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert "Secret" not in manifest()


def test_the_command_of_the_pod(tmp_path: Path) -> None:
    (tmp_path / "rasterflight.toml").write_text(settings_text("kubernetes"))
    arguments = container()["args"]
    assert arguments[0] == "serve"
    mount = next(mount["mountPath"] for mount in container()["volumeMounts"] if mount["name"] == "settings")
    words = [word.replace(mount, str(tmp_path)) for word in arguments[1:]]
    assert words == [f"--settings={tmp_path}/rasterflight.toml"]
    assert main(["config", "--check", *words]) == 0


def test_variables_of_the_service_do_no_harm() -> None:
    assert pod()["enableServiceLinks"] is False
    # Other pods of the namespace, and those who leave that out, get these.
    name = manifest()["Service"]["metadata"]["name"].upper()
    (port,) = manifest()["Service"]["spec"]["ports"]
    number, called = port["port"], port["name"].upper()
    variables = {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": str(number),
        f"{name}_SERVICE_PORT_{called}": str(number),
        f"{name}_PORT": f"tcp://10.0.0.1:{number}",
        f"{name}_PORT_{number}_TCP": f"tcp://10.0.0.1:{number}",
        f"{name}_PORT_{number}_TCP_PROTO": "tcp",
        f"{name}_PORT_{number}_TCP_PORT": str(number),
        f"{name}_PORT_{number}_TCP_ADDR": "10.0.0.1",
    }
    assert name == "RASTERFLIGHT"
    assert list(from_environment(variables)) == []
