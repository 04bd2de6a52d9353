from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from affectd.daemon import configuration
from affectd.daemon.errors import SettingsError
from affectd.daemon.settings import (
    Audio,
    EmotionSettings,
    Log,
    Mqtt,
    Settings,
    log_path,
    password,
    runtime_folder,
    voice_path,
)
from tests.conftest import ROOT

DEFAULT = ROOT / "config" / "affectd.yaml"


def load(text: str, tmp_path: Path, **environment: str) -> Settings:
    path = tmp_path / "affectd.yaml"
    path.write_text(text)
    return configuration.load(path, environment)


def keys_of(values: dict[str, object], above: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in values.items():
        inner = keys_of(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}"}
        found |= inner
    return found


def test_the_documented_file_holds_every_key_with_its_default() -> None:
    import msgspec

    documented = yaml.safe_load(DEFAULT.read_text())
    assert documented == msgspec.json.decode(msgspec.json.encode(Settings()))
    assert configuration.load(DEFAULT, {}) == Settings()


def test_every_key_has_a_line_of_explanation() -> None:
    lines = DEFAULT.read_text().splitlines()
    for number, line in enumerate(lines):
        is_key = line.strip() and not line.strip().startswith("#") and not line.endswith(":")
        if is_key:
            assert lines[number - 1].strip().startswith("#"), line


def test_the_fixed_names_exist() -> None:
    fixed = {"node", "audio.device", "mqtt.host", "mqtt.port", "mqtt.username"}
    fixed |= {"mqtt.password_file", "mqtt.tls", "log.path"}
    assert fixed <= keys_of(yaml.safe_load(DEFAULT.read_text()))


def test_without_a_file_every_key_has_its_default() -> None:
    assert configuration.load(None, {}) == Settings()


def test_a_key_in_the_file_is_taken(tmp_path: Path) -> None:
    settings = load("node: kitchen\nmqtt:\n  host: broker.lan\n", tmp_path)
    assert (settings.node, settings.mqtt.host, settings.mqtt.port) == (
        "kitchen",
        "broker.lan",
        1883,
    )


def test_a_section_whose_keys_are_commented_out_is_empty(tmp_path: Path) -> None:
    assert load("mqtt:\n  # host: broker.lan\n", tmp_path) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("AFFECTD_MQTT__HOST", "broker.lan", "mqtt.host"),
        ("AFFECTD_MQTT__PORT", 8883, "mqtt.port"),
        ("AFFECTD_MQTT__TLS", True, "mqtt.tls"),
        ("AFFECTD_NODE", "on", "node"),
        ("AFFECTD_EMOTION__THRESHOLD", 0.5, "emotion.threshold"),
        ("AFFECTD_EMOTION__ADAPT", False, "emotion.adapt"),
    ],
)
def test_an_environment_variable_goes_before_the_file(
    name: str, text: object, key: str, tmp_path: Path
) -> None:
    settings: object = load("node: a\nmqtt: {host: a, port: 1}\n", tmp_path, **{name: str(text)})
    for part in key.split("."):
        settings = getattr(settings, part)
    assert settings == text
    assert type(settings) is type(text)


def test_an_empty_environment_variable_stands_for_null(tmp_path: Path) -> None:
    assert load("audio: {device: usb}", tmp_path, AFFECTD_AUDIO__DEVICE="").audio.device is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mqtt: {port: 99999}", "mqtt.port is 99999; it must be a whole number from 1 to 65535"),
        ("mqtt: {port: http}", "mqtt.port is 'http'; it must be a whole number from 1 to 65535"),
        ("mqtt: {prot: 1}", "mqtt.prot is not a known key; did you mean root?"),
        (
            "mqtt: {password: hunter2}",
            "mqtt.password is not a known key; did you mean password_file",
        ),
        ("mood: {zzz: 1}", "mood.zzz is not a known key; known here: half_life_s"),
        ("room: kitchen", "room is not a known key; did you mean rooms?"),
        ("1: 2", "1 is not a known key"),
        ("mqtt: {1: 2}", "mqtt.1 is not a known key"),
        ("mqtt: 3", "mqtt is 3; it must be a section with keys of its own"),
        ("mqtt: {tls: 1}", "mqtt.tls is 1; it must be true or false"),
        ("mqtt: {host: ''}", "mqtt.host is ''; it must be text that is not empty"),
        ("node: a/b", "node is 'a/b'; it must be text that matches"),
        ("node: 3", "node is 3; it must be text that matches"),
        ("emotion: {networks: gru}", "emotion.networks is 'gru'; it must be one of cnn, cnn+lstm"),
        (
            "emotion: {threshold: 2}",
            "emotion.threshold is 2; it must be a number from 0 to 1 or null",
        ),
        ("mood: {half_life_s: 0}", "mood.half_life_s is 0; it must be a number above 0 to 86400"),
        ("mood: {agree: 5}", "mood.agree is 5, but only mood.of 4 readings are looked at; set"),
        ("mood: {half_life_s: .nan}", "mood.half_life_s is nan; it must be a number above 0"),
        (
            "audio: {channel: 0}",
            "audio.channel is 0; it must be a whole number from 1 to 64 or null",
        ),
        ("speech: {vad_mode: 4}", "speech.vad_mode is 4; it must be a whole number from 0 to 3"),
        ("- a", "must hold keys and values, not list"),
        ("a: [", "is not YAML: while parsing a flow node"),
    ],
)
def test_a_wrong_file_is_refused_by_key_value_and_what_is_allowed(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(text, tmp_path)
    assert message in str(refusal.value)
    assert "affectd.yaml" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("AFFECTD_MQTT__PORT", "abc", "AFFECTD_MQTT__PORT: mqtt.port is 'abc'; it must be a whole"),
        ("AFFECTD_MQTT__TLS", "perhaps", "mqtt.tls is 'perhaps'; it must be true or false"),
        ("AFFECTD_MQT__PORT", "1", "AFFECTD_MQT__PORT: mqt is not a known key; did you mean mqtt?"),
        ("AFFECTD_NODE__X", "1", "AFFECTD_NODE__X: node.x is not a known key"),
        ("AFFECTD_MQTT", "1", "names a section; name one of its keys, such as AFFECTD_MQTT__HOST"),
    ],
)
def test_a_wrong_environment_variable_is_refused_by_its_name(
    name: str, text: str, message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        configuration.load(None, {name: text})
    assert message in str(refusal.value)


def test_a_file_section_that_is_none_is_refused_though_a_variable_overrides_a_key_in_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="mqtt is 3; it must be a section"):
        load("mqtt: 3", tmp_path, AFFECTD_MQTT__PORT="1")


def test_each_room_is_a_node_with_all_other_keys_shared(tmp_path: Path) -> None:
    rooms = "[{node: study, device: Jabra, channel: 2}, {node: hall, device: Blue}]"
    settings = load(f"node: kitchen\nlog: {{level: debug}}\nrooms: {rooms}", tmp_path)
    nodes = settings.nodes()
    assert [node.node for node in nodes] == ["kitchen", "study", "hall"]
    assert [node.audio for node in nodes] == [Audio(), Audio("Jabra", 2), Audio("Blue")]
    assert all(node.log.level == "debug" and node.rooms == () for node in nodes)


@pytest.mark.parametrize(
    ("rooms", "problem"),
    [
        ("3", r"rooms is 3; it must be a list of rooms"),
        ("[3]", r"rooms\[0\] is 3; it must be a section"),
        ("[{device: Jabra}]", r"rooms\[0\] has no node; give it one"),
        ("[{node: a b, device: x}]", r"rooms\[0\].node is 'a b'; it must be text that matches"),
        ("[{node: a}, {node: b, chanel: 1}]", r"rooms\[1\].chanel is not a known key; did you"),
        ("[{node: a, channel: 0}]", r"rooms\[0\].channel is 0; it must be a whole number from 1"),
        ("[{node: home, device: x}]", "two nodes are called home"),
        ("[{node: a}]", "home and a would hear the same, device null and channel null"),
    ],
)
def test_wrong_rooms_are_refused(tmp_path: Path, rooms: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(f"rooms: {rooms}", tmp_path)


def test_rooms_are_not_set_by_a_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="AFFECTD_ROOMS names a list; set rooms in the"):
        load("", tmp_path, AFFECTD_ROOMS="x")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read: No such file"):
        configuration.load(tmp_path / "none.yaml", {})


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)
sections = st.sampled_from(["node", "audio", "speech", "emotion", "mood", "mqtt", "log", "other"])


@given(content=st.dictionaries(sections, yaml_values))
def test_any_yaml_gives_settings_or_one_clear_error(
    content: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "affectd.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        configuration.load(path, {})
    except SettingsError as error:
        assert "\n" not in str(error)


def test_the_users_file_goes_before_the_systems(tmp_path: Path) -> None:
    file = tmp_path / "affectd" / "affectd.yaml"
    file.parent.mkdir()
    file.write_text("")
    assert configuration.find({"XDG_CONFIG_HOME": str(tmp_path)}) == file


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\r\n# for the broker in the cellar\n")
    settings = Mqtt(username="anna", password_file=str(tmp_path / "password"))
    assert password(settings, {}) == "secret"


def test_the_password_may_be_a_systemd_credential(tmp_path: Path) -> None:
    (tmp_path / "mqtt_password").write_text("secret")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert password(Mqtt(username="anna"), environment) == "secret"


def test_a_blank_credential_is_no_password(tmp_path: Path) -> None:
    (tmp_path / "mqtt_password").write_text("\n")
    assert password(Mqtt(), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None


def test_a_credential_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mqtt_password").mkdir()
    with pytest.raises(SettingsError, match="which cannot be read"):
        password(Mqtt(username="anna"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_no_password_is_no_error() -> None:
    assert password(Mqtt(), {}) is None


def test_a_password_without_a_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    with pytest.raises(SettingsError, match=r"mqtt\.username is not set; set it") as refusal:
        password(Mqtt(password_file=str(tmp_path / "password")), {})
    assert "secret" not in str(refusal.value)


def test_a_missing_password_file_is_refused(tmp_path: Path) -> None:
    settings = Mqtt(username="anna", password_file=str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"mqtt\.password_file is .*none, which cannot be read"):
        password(settings, {})


def test_an_empty_password_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    settings = Mqtt(username="anna", password_file=str(tmp_path / "password"))
    with pytest.raises(SettingsError, match="which is empty; put the password there"):
        password(settings, {})


def test_the_log_is_where_the_configuration_puts_it_else_in_the_run_time_folder() -> None:
    systemd = {"RUNTIME_DIRECTORY": "/run/affectd:/run/other", "XDG_RUNTIME_DIR": "/run/user/1"}
    assert log_path(Log(path="/a/b.jsonl"), systemd) == Path("/a/b.jsonl")
    assert log_path(Log(), systemd) == Path("/run/affectd/readings.jsonl")
    session = {"XDG_RUNTIME_DIR": "/run/user/1", "XDG_STATE_HOME": "/s"}
    assert log_path(Log(), session) == Path("/run/user/1/affectd/readings.jsonl")
    assert log_path(Log(), {"XDG_STATE_HOME": "/s"}) == Path("/s/affectd/readings.jsonl")


def test_the_voice_is_where_the_configuration_puts_it_else_systemd_else_the_user() -> None:
    chosen = Settings(emotion=EmotionSettings(voice_folder="/a"))
    systemd = {"STATE_DIRECTORY": "/var/lib/affectd"}
    assert voice_path(chosen, systemd) == Path("/a/voice-home.json")
    assert voice_path(Settings(), systemd) == Path("/var/lib/affectd/voice-home.json")
    assert voice_path(Settings(), {"XDG_STATE_HOME": "/s"}) == Path("/s/affectd/voice-home.json")


def test_the_run_time_folder_is_that_of_systemd_else_of_the_session_else_of_the_user() -> None:
    session = {"XDG_RUNTIME_DIR": "/run/user/1000", "XDG_STATE_HOME": "/s"}
    systemd = {"RUNTIME_DIRECTORY": "/run/affectd:/run/other"}
    assert runtime_folder(session | systemd) == Path("/run/affectd")
    assert runtime_folder(session) == Path("/run/user/1000/affectd")
    assert runtime_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/affectd")


def test_two_nodes_never_share_a_voice() -> None:
    kitchen, hall = (
        Settings(node=node, emotion=EmotionSettings(voice_folder="/a"))
        for node in ("kitchen", "hall")
    )
    assert voice_path(kitchen, {}) != voice_path(hall, {})
