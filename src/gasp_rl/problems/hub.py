"""LiveCodeBench straight from the Hugging Face Hub, or from its cache when there is no network."""

from pathlib import Path

from gasp_rl.errors import DataError, MissingExtraError
from gasp_rl.problems.livecodebench import RELEASES, releases

REPOSITORY = "livecodebench/code_generation_lite"


def livecodebench_from_hub(release: str, revision: str | None = None) -> Path:
    """Folder with the JSONL files of a release; files that the cache holds are not fetched again.

    The files of release_v6 add up to about 4.5 GB. Raises `DataError` with the reason when a file
    is neither cached nor reachable.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtraError("train", "reading LiveCodeBench from the Hub") from None
    folder = Path()
    for name in releases(release):
        number = RELEASES.index(name) + 1
        file = f"test{number if number > 1 else ''}.jsonl"
        try:
            got = hf_hub_download(REPOSITORY, file, repo_type="dataset", revision=revision)
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"{REPOSITORY}/{file} is not in the Hub's cache and cannot be fetched ({reason}); "
                "download the files elsewhere and write lcb=FOLDER"
            ) from None
        folder = Path(got).parent
    return folder
