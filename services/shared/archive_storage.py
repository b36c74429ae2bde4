"""Where the archive's files and model bundles lie: a folder, or an object store that fsspec knows.

A file is put whole: who reads sees all of it, or what was there before. The archive puts each under
a name that was not there. What must happen once only (the next entry of a log) is *created*, which
of two who try succeeds for one. A local folder is flushed to disk, file and folder, before a call
returns.

An object store must refuse to create what is there (``mode="create"`` of fsspec's ``pipe_file``):
S3, Google's and Azure's do.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Protocol

import fsspec

from services.shared.errors import BadSetting, StorageUnavailable

WRITING: Final = ".writing-"
"""What names start with that are not put yet; they are nobody's after a crash."""


class ArchiveStorage(Protocol):
    """Files by their path below one root, such as ``shopper-events/_log/…``.

    All raise StorageUnavailable where it cannot be reached, is full, or may not be written.
    """

    def names(self, folder: str) -> list[str]:
        """What lies directly in ``folder``, sorted; nothing where there is no such folder."""
        ...

    def read(self, path: str) -> bytes:
        """The content. Raises FileNotFoundError."""
        ...

    def source(self, path: str) -> Path | IO[bytes]:
        """What a reader of Parquet reads. Raises FileNotFoundError."""
        ...

    def fetch(self, path: str, to: Path) -> None:
        """Copy the content into a file that is not there yet. Raises FileNotFoundError."""
        ...

    def put(self, path: str, content: bytes) -> None:
        """Keep ``content``, in place of what is there."""
        ...

    def create(self, path: str, content: bytes) -> bool:
        """Keep ``content``, whole or not at all; False where something is there already."""
        ...

    def move(self, path: str, to: str) -> None:
        """Give a file its name; nothing to do where it is not there (any more)."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file for good; nothing to do where it is not there."""
        ...

    def abandon(self, folder: str) -> None:
        """Remove what was not put to its end; who is at it just now fails, and may try again."""
        ...


class LocalStorage:
    """A folder of a file system that can link and rename, flushed to disk."""

    def __init__(self, root: Path) -> None:
        """``root`` is made where it is not there yet."""
        self._root = root

    def names(self, folder: str) -> list[str]:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            try:
                found = [each.name for each in (self._root / folder).iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(name for name in found if not name.startswith(WRITING))

    def read(self, path: str) -> bytes:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            return (self._root / path).read_bytes()

    def source(self, path: str) -> Path:
        """See :class:`ArchiveStorage`."""
        found = self._root / path
        if not found.exists():
            raise FileNotFoundError(path)
        return found

    def fetch(self, path: str, to: Path) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            shutil.copyfile(self._root / path, to)

    def put(self, path: str, content: bytes) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root), self._written(path, content) as writing:
            writing.rename(self._root / path)

    def create(self, path: str, content: bytes) -> bool:
        """See :class:`ArchiveStorage`; a link, other than a rename, replaces nothing."""
        with _reaching(self._root), self._written(path, content) as writing:
            try:
                (self._root / path).hardlink_to(writing)
            except FileExistsError:
                return False
        return True

    def move(self, path: str, to: str) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            folder = self._folder_of(to)
            with contextlib.suppress(FileNotFoundError):
                (self._root / path).rename(self._root / to)
            _flush_folder(folder)

    def delete(self, path: str) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root), contextlib.suppress(FileNotFoundError):
            (self._root / path).unlink()
            _flush_folder((self._root / path).parent)

    def abandon(self, folder: str) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            for path in (self._root / folder).glob(WRITING + "*"):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _written(self, path: str, content: bytes) -> Iterator[Path]:
        """``content`` on disk beside ``path``, to be given that name; the folder is flushed."""
        folder = self._folder_of(path)
        writing = folder / (WRITING + secrets.token_hex(8))
        try:
            with writing.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield writing
        except FileNotFoundError as error:
            raise StorageUnavailable(f"{path} was given up by another process") from error
        finally:
            writing.unlink(missing_ok=True)
        _flush_folder(folder)

    def _folder_of(self, path: str) -> Path:
        """The folder that ``path`` is to lie in, made and on disk."""
        folder = (self._root / path).parent
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            _flush_folder(each.parent)
        return folder


class ObjectStorage:
    """A prefix of an object store, where what is put is seen whole or not at all."""

    def __init__(self, files: Any, root: str) -> None:
        """``files`` is fsspec's file system, ``root`` the prefix in it."""
        self._files = files
        self._root = root.rstrip("/")

    def names(self, folder: str) -> list[str]:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            self._files.invalidate_cache()
            try:
                found = self._files.ls(self._at(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(PurePosixPath(each).name for each in found)

    def read(self, path: str) -> bytes:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            return bytes(self._files.cat_file(self._at(path)))

    def source(self, path: str) -> IO[bytes]:
        """See :class:`ArchiveStorage`; the whole object, in memory."""
        return io.BytesIO(self.read(path))

    def fetch(self, path: str, to: Path) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            self._files.get_file(self._at(path), str(to))

    def put(self, path: str, content: bytes) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            self._files.pipe_file(self._at(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root):
            try:
                self._files.pipe_file(self._at(path), content, mode="create")
            except FileExistsError:
                return False
            return True

    def move(self, path: str, to: str) -> None:
        """See :class:`ArchiveStorage`; a copy by the store itself, then a removal."""
        with _reaching(self._root), contextlib.suppress(FileNotFoundError):
            self._files.mv(self._at(path), self._at(to))

    def delete(self, path: str) -> None:
        """See :class:`ArchiveStorage`."""
        with _reaching(self._root), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._at(path))

    def abandon(self, folder: str) -> None:
        """See :class:`ArchiveStorage`; what is not whole is not there."""

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"


def open_storage(root: str) -> ArchiveStorage:
    """The storage at ``root``, a folder or an address such as ``s3://bucket/attune``.

    Raises BadSetting where fsspec knows no such store, or what it needs is not installed.
    """
    if "://" not in root:
        return LocalStorage(Path(root).absolute())
    try:
        files, prefix = fsspec.core.url_to_fs(root)
    except (ImportError, ValueError) as error:
        raise BadSetting(f"storage at {root}: {error}") from error
    return ObjectStorage(files, prefix)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _reaching(root: Path | str) -> Iterator[None]:
    """Tell a storage that fails from a file that is not there."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        said = error.strerror or str(error) or type(error).__name__
        raise StorageUnavailable(f"storage at {root}: {said}") from error
