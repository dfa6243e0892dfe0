"""Why a repository of the hub could not be had, and what to do about it, in one message."""

from __future__ import annotations

import os
from pathlib import Path

from altclip.errors import AltclipError, HubError, UsageError


def explained(error: Exception, repository: str, revision: str | None, cache_dir: str | Path | None) -> AltclipError:
    """The error to raise for one of huggingface_hub's, of its HTTP library's, or of the file system's."""
    from huggingface_hub import constants, errors

    cause = error.__cause__
    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(cause, errors.HfHubHTTPError):
        error = cause  # the hub answered, with a refusal; huggingface_hub then looked into the cache
    page = f"{constants.ENDPOINT}/{repository}"
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"'{repository}' is neither a folder here nor a hub id: expected owner/name")
    if isinstance(error, errors.GatedRepoError) or _status(error) == 403:
        return HubError(
            f"{repository} is gated or forbidden to this account: open {page}, log in, accept its licence, then log in "
            "here with `hf auth login` or pass token="
        )
    if isinstance(error, errors.RepositoryNotFoundError) or _status(error) == 401:
        return HubError(
            f"{repository} was not found at {constants.ENDPOINT}: check the spelling; if it is private, log in with "
            "`hf auth login` or pass the token of an account that may read it"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{repository} has no revision '{revision}': {page}/tree/main lists those there are")
    if isinstance(error, errors.HfHubHTTPError) and (status := _status(error)):
        held = _in_cache(repository, cache_dir)
        return HubError(f"{constants.ENDPOINT} answered {status} for {repository}: try again later. {held}")
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError | TimeoutError):
        return HubError(f"{repository} could not be written to the cache ({error}): make room, or pass cache_dir=")
    return HubError(
        f"{repository} could not be fetched: {_why(error, constants.ENDPOINT)}. {_in_cache(repository, cache_dir)}. "
        f"To go on without a network: `hf download {repository}` where there is one, copy the folder here, and give "
        "its path; for a mirror set HF_ENDPOINT"
    )


def _status(error: Exception) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _why(error: Exception, endpoint: str) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE=1 forbids the network"
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is None:
        return "local_files_only=True forbids the network"
    source = error.__cause__ or error
    return f"{endpoint} cannot be reached ({type(source).__name__}: {str(source).partition(chr(10))[0]})"


def _in_cache(repository: str, cache_dir: str | Path | None) -> str:
    """What the cache holds of a repository."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    where = Path(os.fspath(cache_dir or constants.HF_HUB_CACHE))
    try:
        repos = [repo for repo in scan_cache_dir(where).repos if repo.repo_id == repository]
    except (CacheNotFound, ValueError, OSError):
        repos = []
    held = [
        f"{', '.join(sorted(revision.refs)) or revision.commit_hash[:8]}: "
        + ", ".join(sorted(file.file_name for file in revision.files))
        for repo in repos
        for revision in repo.revisions
    ]
    return f"The cache {where} holds " + ("; ".join(held) if held else "nothing of it")
