"""The sample deployment on a journal of its own, for peers written by others."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target" / "debug"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(process, pattern, log):
    until = time.time() + 60
    while time.time() < until:
        found = re.search(pattern, log.read_text())
        if found:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"{process.args} never printed {pattern}:\n{log.read_text()}")


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    config = folder / "config"
    shutil.copytree(ROOT / "config", config)
    host_port = free_port()
    ports = [free_port() for _ in range(4)]
    main = config / "cordboard.ron"
    text = main.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{host_port}")
    text = text.replace('"../data"', '"data"').replace("../target/debug", str(BINARIES))
    main.write_text(text)
    channels = config / "channels.ron"
    text = channels.read_text()
    for sample, port in zip((9101, 9102, 9103), ports[1:]):
        text = text.replace(f"127.0.0.1:{sample}", f"127.0.0.1:{port}")
    channels.write_text(text)

    environment = dict(os.environ, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    for line in (config / "emulated.env").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            environment[name] = value
    host_url = f"http://127.0.0.1:{host_port}"
    started = []

    def start(name, arguments, pattern):
        log = folder / f"{name}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [BINARIES / name, *arguments], stdout=out, stderr=out, env=environment
            )
        started.append(process)
        wait_for(process, pattern, log)
        return log

    numbers = [str(port) for port in ports]
    start("emulators", ["--host", host_url, "--ports", *numbers], "emulator .* Acs")
    log = start("cordboard", ["run", str(config), "--strict"], "is running")
    token = subprocess.run(
        [BINARIES / "cordboard", "agent", "token", str(config), "--id", "sam"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout.strip()
    yield SimpleNamespace(
        host=host_url,
        phone=f"http://127.0.0.1:{ports[0]}",
        telesign=f"http://127.0.0.1:{ports[1]}",
        twilio=f"http://127.0.0.1:{ports[2]}",
        acs=f"http://127.0.0.1:{ports[3]}",
        token=token,
        secrets=environment,
        log=log,
    )
    for process in reversed(started):
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
