"""Container images built and run for real, by buildah and podman, on a base of Debian's packages."""

import ast
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

TOOLS = ("buildah", "podman", "crun", "mmdebstrap", "unshare")
PACKAGES = "python3-venv,libstdc++6"
TORCH = ("torch", "torchvision", "torchvision.libs", "torchgen", "functorch", "nvidia", "triton")
# crun refuses the cgroups of a machine that has both versions; a namespace of mounts of its own hides one.
ALONE = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
BOUNDS = ("--cgroups=disabled", "--network=none", "--no-healthcheck", "--read-only", "--tmpfs=/tmp")
RIGHTS = ("--cap-drop=all", "--security-opt=no-new-privileges")
LIMITS = (
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=4096:4096",
)  # podman's own are higher than a container's


def lacking() -> str:
    """The reason why images cannot be built here; "" if they can."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} not installed (apt)"
    if os.geteuid() != 0:
        return "building an image without isolation needs root"
    release = platform.freedesktop_os_release()
    debian = {"bookworm": (3, 11), "trixie": (3, 13)}.get(release.get("VERSION_CODENAME", ""))
    return "" if debian == sys.version_info[:2] else f"{release['NAME']} has no base with this Python"


class Images:
    """A store of images in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run_root = tempfile.mkdtemp(dir="/tmp")  # podman takes at most 50 characters
        store = [f"--root={folder}/store", f"--runroot={self._run_root}", "--storage-driver=overlay"]
        self._podman = ["podman", *store, "--cgroup-manager=cgroupfs"]
        self._buildah = ["buildah", *store]

    def make_base(self) -> str:
        """An image of Debian's packages alone."""
        archive = self.folder / "base.tar"
        suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
        _run("mmdebstrap", "--quiet", "--variant=essential", f"--include={PACKAGES}", suite, str(archive))
        _run(*self._podman, "import", "--quiet", str(archive), "localhost/base")
        archive.unlink()
        return "localhost/base"

    def build(self, source: Path, base: str) -> str:
        """Build a packaged version by its own Dockerfile.

        Builds of torch without CUDA may be out of reach: a package of that name and version leads to the
        torch of this machine, which `call` mounts. All else is installed from the index of this machine.
        """
        wheels, settings = self.folder / "wheels", self.folder / "pip.conf"
        for name in ("torch", "torchvision"):
            write_stand_in(wheels, name)
        settings.write_text(_pip_settings())
        arguments = ["--build-arg", f"BASE={base}", "--build-arg", "TORCH_INDEX=file:///wheels"]
        mounts = [f"-v={wheels}:/wheels:ro", "-v=/etc/ssl/certs:/certs:ro"]
        secret = ["--secret", f"id=pip,src={settings}"]
        flags = ["--isolation=chroot", "--network=host", "--format=docker", "--quiet", "-t=localhost/served"]
        _run(*self._buildah, "bud", *flags, *arguments, *mounts, *secret, str(source))
        return "localhost/served"

    def call(self, *command: str, stdin: str = "", check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of podman."""
        return _run(
            "unshare", "-m", "sh", "-c", ALONE, "sh", *self._podman, *command, stdin=stdin, check=check
        )

    def options(self) -> list[str]:
        """Options of `podman run`: no network, no rights, nothing to write but /tmp."""
        own = Path(sysconfig.get_path("purelib"))
        mounts = [f"-v={own / name}:/torch/{name}:ro" for name in TORCH if (own / name).exists()]
        return [*BOUNDS, *RIGHTS, *LIMITS, *mounts]

    @contextmanager
    def running(self, image: str, name: str, settings: Sequence[str]) -> Iterator[None]:
        """A container in the background, removed at the end."""
        given = [f"--env={each}" for each in settings]
        self.call("run", "--detach", "--name", name, *given, *self.options(), image)
        try:
            yield
        finally:
            self.call("rm", "--force", "--time", "0", name, check=False)

    def health_command(self, image: str) -> list[str]:
        """The command by which the image says whether it is healthy."""
        [found] = json.loads(self.call("image", "inspect", image).stdout)
        kind, *command = found["Healthcheck"]["Test"]
        assert kind == "CMD"
        return list(command)

    def remove(self) -> None:
        """Remove all images and containers."""
        self.call("system", "reset", "--force", check=False)
        shutil.rmtree(self._run_root, ignore_errors=True)


def write_stand_in(folder: Path, name: str) -> None:
    """Write the wheel of a build without CUDA, which leads to the build of this machine."""
    folder.mkdir(exist_ok=True)
    base = f"{name}-{metadata.version(name).partition('+')[0]}+cpu"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {base.partition('-')[2]}\n"
    kind = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"METADATA": about, "WHEEL": kind, "RECORD": ""}
    with zipfile.ZipFile(folder / f"{base}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}_elsewhere.pth", "/torch\n")
        for file, text in files.items():
            wheel.writestr(f"{base}.dist-info/{file}", text)


def _pip_settings() -> str:
    """The settings by which pip reaches its index from here, as a pip.conf of the build."""
    listed = _run(sys.executable, "-m", "pip", "config", "list").stdout
    pairs = [line.partition("=") for line in listed.splitlines()]
    found = {key.rpartition(".")[2]: ast.literal_eval(value) for key, _, value in pairs}
    used = {key: found[key] for key in ("index-url", "trusted-host", "proxy", "timeout") if key in found}
    own = {**used, "find-links": "/wheels", "cert": "/certs/ca-certificates.crt"}
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in own.items())


def _run(*command: str, stdin: str = "", check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if check:
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done
