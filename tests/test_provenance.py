"""Digests of code: what a stage runs changes them, comments and other stages do not."""

import pytest

from brainflix import provenance

SOURCES = {
    "__init__.py": "",
    "errors.py": "class E(Exception): pass\n",
    "shared.py": "def scale(x):\n    return 2 * x\n",
    "named.py": "class Layer: pass\n",
    "first/__init__.py": "from brainflix.first.extra import ENTRY\n",
    "first/extra.py": "ENTRY = 1\n",
    "first/page.css": "p { color: red }\n",
    "first/stage.py": (
        '"""The first."""\n'
        "from brainflix.errors import E\n"
        'PLACE = "brainflix.named"\n'
        "def run(x):\n"
        '    """Run."""\n'
        "    from brainflix.shared import scale\n"
        "    return scale(x)\n"
    ),
    "second/__init__.py": "",
    "second/stage.py": "def run(x):\n    return x\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that edits one source of a small package and gives both digests."""
    for name, text in SOURCES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)

    def digests(name=None, old="", new=""):
        if name is not None:
            text = (tmp_path / name).read_text()
            assert old in text
            (tmp_path / name).write_text(text.replace(old, new, 1) if old else text + new)
        provenance._parse.cache_clear()
        provenance.code_digest.cache_clear()
        return tuple(provenance.code_digest(f"brainflix.{s}.stage") for s in ("first", "second"))

    yield digests
    provenance._parse.cache_clear()
    provenance.code_digest.cache_clear()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("first/stage.py", "", "# a remark\n"),
        ("first/stage.py", '"""Run."""', '"""Run it."""'),
        ("first/stage.py", "return scale(x)", "return scale(\n        x,\n    )"),
        ("errors.py", "pass", "text = 'other'"),
    ],
)
def test_comments_docstrings_formatting_and_neutral_modules_change_nothing(package, name, old, new):
    assert package() == package(name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("first/stage.py", "scale(x)", "scale(x) + 1"),
        ("shared.py", "2 * x", "3 * x"),
        ("named.py", "pass", "size = 3"),
        ("first/extra.py", "1", "2"),
        ("first/__init__.py", "", "OTHER = 2\n"),
        ("first/page.css", "red", "blue"),
    ],
)
def test_code_that_a_stage_reaches_changes_its_digest_alone(package, name, old, new):
    before, after = package(), package(name, old, new)
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_module_that_is_not_there_has_no_digest(package):
    package()
    with pytest.raises(ValueError, match=r"brainflix\.third\.stage"):
        provenance.code_digest("brainflix.third.stage")


def test_what_a_stage_imports_is_found(package):
    package()
    assert provenance.imported_modules("brainflix.first.stage") == (
        "brainflix.first",
        "brainflix.first.extra",
        "brainflix.first.stage",
        "brainflix.named",
        "brainflix.shared",
    )


def test_other_weights_change_a_models_digest(tmp_path):
    def digest():
        provenance.model_digest.cache_clear()
        return provenance.model_digest(str(tmp_path))

    (tmp_path / "vae").mkdir()
    weights = tmp_path / "vae" / "model.safetensors"
    weights.write_bytes(b"one")
    first = digest()
    assert first == digest()
    weights.write_bytes(b"two")
    assert first != digest()
    weights.write_bytes(b"one")
    assert first == digest()
    (tmp_path / "config.json").write_text("{}")
    assert first != digest()


def test_hub_ids_differ_by_their_names_alone():
    names = ("openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14")
    assert len({provenance.model_digest(name) for name in names}) == 2
