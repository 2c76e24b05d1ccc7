from __future__ import annotations

from pathlib import Path

import pytest

from cloud_runtime.app import build_worker
from cloud_runtime.cli import cloud
from cloud_runtime.config import CloudConfig
from split_core.config import load, parsed
from split_core.errors import BackendError, BundleError, ConfigError, LinkError, SplitError

SHIPPED = Path(__file__).parents[2] / "configs" / "cloud.yaml"


def config(bundle: Path, **changes: object) -> CloudConfig:
    settings = {"bundles": [bundle], "listen": "tcp://127.0.0.1:0", "plain": True, **changes}
    return parsed(settings, CloudConfig, "test")


def test_the_shipped_example_is_a_configuration() -> None:
    shipped = load(SHIPPED, CloudConfig)
    assert shipped.curve is not None
    assert not shipped.plain


def test_no_keys_and_no_word_of_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"set curve\.secret_key .* or ask for 'plain: true'"):
        parsed({"bundles": ["b"]}, CloudConfig, "here")


def test_keys_and_plain_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="remove one"):
        parsed({"bundles": ["b"], "plain": True, "curve": {"secret_key": "k"}}, CloudConfig, "here")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limits": {"max_batchsize": 3}}, "limits.max_batchsize: unknown key; did you mean 'max_batch_size'?"),
        ({"limits": {"max_batch_size": 0}}, "limits.max_batch_size"),
        ({"bundles": []}, "bundles"),
        ({"name": "a b"}, "name"),
        ({"engines": 0}, "engines"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed({"bundles": ["b"], "plain": True, **changes}, CloudConfig, "here")
    assert message in str(caught.value)


def test_a_worker_knows_its_real_addresses(tiny_bundle: Path) -> None:
    worker = build_worker(config(tiny_bundle, http="127.0.0.1:0"))
    try:
        assert worker.address.startswith("tcp://127.0.0.1:")
        assert not worker.address.endswith(":0")
        assert worker.http is not None
        assert not worker.http.endswith(":0")
        assert [len(bundle) for bundle in worker.bundles] == [64]
    finally:
        worker.stop()
        worker.run()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"bundles": ["nowhere"]}, ConfigError, "is no bundle"),
        ({"backend": "onnxruntim"}, ConfigError, "did you mean 'onnxruntime'"),
        ({"listen": "tcp://nonsense"}, LinkError, "cannot listen there"),
        ({"http": "8080"}, ConfigError, "host:port"),
        ({"plain": False, "curve": {"secret_key": "nowhere"}}, ConfigError, "offramp keys"),
    ],
)
def test_what_cannot_be_started_says_why(
    tiny_bundle: Path, changes: dict[str, object], error: type[SplitError], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_worker(config(tiny_bundle, **changes))


def test_a_damaged_bundle_is_not_served(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(BundleError):
        build_worker(config(tmp_path))


def test_options_for_a_folder_do_not_go_with_a_file(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="use --set"):
        cloud(SHIPPED, listen="tcp://127.0.0.1:0")
    with pytest.raises(ConfigError, match="--set needs a configuration file"):
        cloud(tiny_bundle, overrides=["name=x"], plain=True)


def test_a_folder_needs_keys_or_plain(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="plain"):
        cloud(tiny_bundle)


def test_an_unknown_provider_is_a_backend_error() -> None:
    from split_core.backends.onnxruntime import OnnxRuntimeBackend

    with pytest.raises(BackendError, match="this build offers"):
        OnnxRuntimeBackend(providers=("NoSuchProvider",))
