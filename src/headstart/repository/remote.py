"""The default DVC remote: what it lacks, and sending it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headstart.errors import LineageError
from headstart.ground.reading import load_json
from headstart.ground.wording import named
from headstart.repository.programs import dvc
from headstart.repository.results import DATA, read_yaml, stage_names, status, versioned_files


@dataclass(frozen=True)
class Remote:
    """The remote that DVC uses by default.

    Attributes:
        keeps_versions: it versions files itself (`version_aware`, `worktree`),
            so that files are not named by digest.
    """

    name: str
    keeps_versions: bool

    @classmethod
    def default(cls) -> "Remote":
        """Read DVC's configuration; a later level, such as this clone's own, has precedence.

        Raises:
            LineageError: there is no default remote.
        """
        listed = dvc("config", "--list").splitlines()
        settings = dict(line.split("=", 1) for line in listed if "=" in line)
        name = settings.get("core.remote")
        if not name:
            raise LineageError(
                "there is no default DVC remote; name one: `dvc remote add --default NAME URL`"
            )
        flags = (settings.get(f"remote.{name}.{key}", "") for key in ("version_aware", "worktree"))
        return cls(name, any(flag.lower() == "true" for flag in flags))

    @property
    def address(self) -> str:
        return f"remote://{self.name}/files/md5"

    def push(self) -> str:
        """Send data, outs and the run-cache, and check that the remote has them.

        Returns:
            DVC's own summary, such as `12 files pushed`.

        Raises:
            RemoteUnreachable: it cannot be written now.
            LineageError: something is neither there nor in the cache.
        """
        said = dvc("push", "--run-cache", *_targets(), asks_remote=True).strip().splitlines()
        if lacking := self.lacking():
            with TemporaryDirectory() as empty:  # it was there once, and DVC remembers that
                anew = {"DVC_SITE_CACHE_DIR": empty}
                said = dvc("push", "--run-cache", *_targets(), env=anew, asks_remote=True).splitlines()
            if lacking := self.lacking():
                raise LineageError(f"after `dvc push`: {self._describe(lacking)}")
        return said[-1] if said else "Everything is up to date."

    def lacking(self) -> dict[str, str]:
        """Data and outs that are not there: path to digest, or to the state that DVC reports.

        DVC remembers what it once saw on a remote, and considers a folder complete if its list of files is
        there. This asks DVC without that memory, and checks every file of a folder. For a remote that keeps
        versions itself, DVC's own answer has to do.

        Raises:
            RemoteUnreachable: it does not answer.
        """
        with TemporaryDirectory() as empty:
            found = status("--cloud", env={"DVC_SITE_CACHE_DIR": empty})
        gone_here = "deleted"  # from the cache alone
        lacking = {path: state for path, state in found.items() if state != gone_here}
        if lacking or self.keeps_versions or not (wanted := self._files_of_folders()):
            return lacking
        listed = dvc("ls-url", "--recursive", self.address, asks_remote=True).splitlines()
        there = {line.replace("/", "") for line in listed}
        return {path: digest for path, digest in wanted.items() if digest not in there}

    def _files_of_folders(self) -> dict[str, str]:
        """Path to MD5 of every file in a versioned folder, by the lists in DVC's cache or the remote."""
        folders = {
            out["path"]: out["md5"]
            for path in versioned_files()
            for out in read_yaml(path)["outs"]
            if out["md5"].endswith(".dir")
        }
        cache = Path(dvc("cache", "dir").strip())
        files: dict[str, str] = {}
        for folder, digest in folders.items():
            with TemporaryDirectory() as temporary:
                listed = cache / "files" / "md5" / digest[:2] / digest[2:]
                if not listed.exists():
                    listed = Path(temporary) / "list"
                    address = f"{self.address}/{digest[:2]}/{digest[2:]}"
                    dvc("get-url", address, str(listed), asks_remote=True)
                entries = load_json(listed, "delete it, so that DVC makes or fetches it again", list)
            files |= {f"{folder}/{file['relpath']}": file["md5"] for file in entries}
        return files

    def _describe(self, lacking: Mapping[str, str]) -> str:
        """The missing files, and what to do about them."""
        files = named((f"{path} ({state})" for path, state in lacking.items()), most=5)
        return (
            f"DVC remote {self.name!r} lacks {files}. `dvc push` sends what the cache holds; "
            "`dvc repro --force` or `dvc add` recreates the rest; a file of a folder is sent again once "
            "the folder's list, the `.dir` file of its digest, is deleted on the remote"
        )


def push_data() -> None:
    """Send the data that data.dvc names to the DVC remote.

    Raises:
        RemoteUnreachable: it cannot be written.
    """
    dvc("push", str(DATA), asks_remote=True)


def pull_data() -> None:
    """Fetch the data that data.dvc names from the DVC remote.

    Raises:
        RemoteUnreachable: it does not answer.
        LineageError: no remote, or it does not hold the data.
    """
    dvc("pull", str(DATA), asks_remote=True)


def _targets() -> list[str]:
    """All that the project versions; without a name DVC walks the whole folder for it."""
    return [*(str(path) for path in versioned_files()), *stage_names()]
