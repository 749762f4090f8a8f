"""Weights from the Hugging Face hub: fetched when asked for, from the cache where they are, or one clear error."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from anyscope.errors import EnvironmentFault

_PATIENCE_S = 5.0


@contextmanager
def reaching_the_hub(subject: str, otherwise: str = "choose random weights") -> Iterator[None]:
    """Fetch inside the block, or fail within seconds.

    The hub's client retries for most of a minute where there is no network. One request finds out first; where it
    fails, the client is told to use its cache alone.

    Args:
        subject: What is fetched, for the message.
        otherwise: What can be done without, for the message.

    Raises:
        EnvironmentFault: It is not in the cache and cannot be fetched.
    """
    import huggingface_hub.constants as hub
    import safetensors
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is that of the client's library
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    offline = hub.HF_HUB_OFFLINE
    problem = "HF_HUB_OFFLINE is set" if offline else _unreachable(hub.ENDPOINT)
    remedy = f"retry with a network, copy the cache of Hugging Face from another machine, or {otherwise}"
    hub.HF_HUB_OFFLINE = offline or bool(problem)
    try:
        yield
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        found = f"are not in the cache and cannot be fetched ({problem or 'the hub did not answer'})"
        raise EnvironmentFault(subject, found, remedy=remedy) from error
    except (HTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EnvironmentFault(subject, f"cannot be fetched ({reason})", remedy=remedy) from error
    except safetensors.SafetensorError as error:
        raise EnvironmentFault(
            subject, f"are damaged in the cache ({error})", remedy="remove them from the cache of Hugging Face"
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = offline


def _unreachable(endpoint: str) -> str:
    """Why the hub cannot be reached, or an empty string where it can."""
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S):
            return ""
    except urllib.error.HTTPError:
        return ""  # it answered; what is wrong with a request is said when the file is asked for
    except (urllib.error.URLError, OSError) as error:
        return f"{endpoint}: {getattr(error, 'reason', error)}"
