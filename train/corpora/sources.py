"""Where publishers offer their corpora, and what they say of the files."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Remote:
    """One file on a server."""

    url: str
    name: str  # of the file on disk
    size: int | None = None  # bytes, None where the publisher does not say
    checksum: str = ""  # `md5:…` or `sha256:…`, empty where none is published


@dataclass(frozen=True, slots=True)
class Source:
    """How a corpus is fetched: one archive, or the files of a Dataverse dataset."""

    size: str  # for people: of what is downloaded
    clips: int  # that layouts.load finds in the whole corpus
    archive: Remote | None = None
    dataverse: str = ""  # address of the list of files
    files: str = ""  # address of one file, which is given by its number
    tables: tuple[Remote, ...] = ()  # small files that the archive lacks


@dataclass(frozen=True, slots=True)
class Weights:
    """How the weights of a pretrained network are fetched."""

    name: str
    licence: str
    citation: str
    homepage: str
    size: str  # for people: of what is downloaded
    file: Remote
    digest: str  # of the tensors that are kept, as encoder_file.digest computes it


# Sizes and MD5 of RAVDESS are those of Zenodo record 1188976, taken from projects that use it and
# write them down alike. The other archives are packed on demand or have no published checksum.
SOURCES: Final = {
    "ravdess": Source(
        "208 MB",
        1440,
        Remote(
            "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
            "Audio_Speech_Actors_01-24.zip",
            208_468_073,
            "md5:bc696df654c87fed845eb13823edef8a",
        ),
    ),
    "ravdess_song": Source(
        "226 MB",
        1012,
        Remote(
            "https://zenodo.org/records/1188976/files/Audio_Song_Actors_01-24.zip?download=1",
            "Audio_Song_Actors_01-24.zip",
            225_505_317,
            "md5:5411230427d67a21e18aa4d466e6d1b9",
        ),
    ),
    # The publishers' GitHub repository has used up its allowance of Git LFS; they name this mirror
    # of theirs (issue 15). GitLab documents `path`, and that LFS objects are in the archive
    # (doc/api/repositories.md, "Get file archive"). The clips are 606 MB before they are packed.
    # The GitHub repository holds its tables without Git LFS (.gitattributes). TensorFlow Datasets
    # reads the one with the listeners' votes from the same address.
    "cremad": Source(
        "at most 606 MB",
        7442,
        Remote(
            "https://gitlab.com/api/v4/projects/cs-cooper-lab%2Fcrema-d-mirror/repository/"
            "archive.zip?path=AudioWAV",
            "CREMA-D.zip",
        ),
        tables=(
            Remote(
                "https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/master/"
                "processedResults/summaryTable.csv",
                "summaryTable.csv",
            ),
        ),
    ),
    # GitHub's archive of the publishers' repository, packed on demand.
    "nemo": Source(
        "3 hours of audio",
        4481,
        Remote("https://github.com/amu-cai/nEMO/archive/refs/heads/main.zip", "nEMO.zip"),
    ),
    # Version 5 on Mendeley Data, packed on demand: this address leads to a signed one that expires
    # within minutes. The size is an estimate: version 2 had 619 MB for 1224 clips. The publishers
    # state 1467 clips; the copy that the layout was checked against has 1464.
    "banglaser": Source(
        "about 700 MB",
        1464,
        Remote("https://data.mendeley.com/public-api/zip/t9h6p943xy/download/5", "BanglaSER.zip"),
    ),
    # The DOI 10.5683/SP2/E8H2MF leads to Borealis, a Dataverse, whose lists have an MD5 for each
    # file. Its one archive of everything is cut off without notice above a limit of the server.
    "tess": Source(
        "about 281 MB in 2800 files",
        2800,
        dataverse="https://borealisdata.ca/api/datasets/:persistentId/"
        "?persistentId=doi:10.5683/SP2/E8H2MF",
        files="https://borealisdata.ca/api/access/datafile/{}",
    ),
    # The source that audb names for EmoDB. 81 of its 535 clips are bored, which affectd lacks.
    "emodb": Source(
        "about 40 MB",
        454,
        Remote("http://emodb.bilderbar.info/download/download.zip", "EmoDB.zip"),
    ),
}

# The address names a commit, which later ones leave as it is. Size and SHA-256 are those that
# several projects which use the file write down alike.
ENCODER: Final = Weights(
    "Whisper tiny.en, encoder",
    "MIT",
    "Radford et al. (2022), https://doi.org/10.48550/arXiv.2212.04356",
    "https://huggingface.co/openai/whisper-tiny.en",
    "151 MB",
    Remote(
        "https://huggingface.co/openai/whisper-tiny.en/resolve/"
        "87c7102498dcde7456f24cfd30239ca606ed9063/model.safetensors",
        "whisper-tiny.en.safetensors",
        151_060_136,
        "sha256:db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
    ),
    "c539d61d298fdbb17004f888fa8e9ea808090503e5ecc48e4111b57658cddabf",
)

# Corpora that no program may fetch, or for which no address of the publishers is known to work.
BY_HAND: Final = {
    "savee": "its publishers ask you to register",
    "emovo": "no lasting address of its recordings is known",
    "indian": "no public address of its recordings is known",
}
