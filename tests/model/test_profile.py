import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.impairment import Impairment
from testbed.model.profile import Parameter, all_profiles, load_profile, profile_names, read_profile, user_folder

quick = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
AROUND = "about: Mine.\nsource: measured\n"


@pytest.fixture
def mine(tmp_path):
    """Write a profile `mine` beside a topology; gives the folder."""

    def write(text):
        (tmp_path / "netem_profiles").mkdir(exist_ok=True)
        (tmp_path / "netem_profiles" / "mine.yaml").write_text(AROUND + text)
        return tmp_path

    return write


def values(parameter: Parameter):
    if parameter.choices:
        return st.sampled_from(sorted(parameter.choices))
    return (
        st.floats(parameter.least, parameter.most)
        .map(lambda value: f"{value:.6g}")
        .filter(lambda text: parameter.least <= float(text) <= parameter.most)
    )


def test_there_are_at_least_thirty():
    assert len(profile_names()) >= 30


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_does_something_and_says_where_it_comes_from(name):
    forward, backward = load_profile(name)
    assert Impairment() not in (forward, backward)
    assert len(read_profile(name).source) > 30


@pytest.mark.parametrize("name", [one.name for one in all_profiles() if one.parameters])
@quick
@given(data=st.data())
def test_every_profile_holds_over_the_whole_span_of_its_parameters(name, data):
    parameters = read_profile(name).parameters
    given = ", ".join(f"{key}={data.draw(values(parameter))}" for key, parameter in parameters.items())
    load_profile(f"{name}({given})")


def test_a_parameter_changes_what_it_is_for():
    assert load_profile("fibre(km=80)")[0].delay == pytest.approx(80 * 4.897e-6, rel=1e-3)
    assert load_profile("nr-5qi(qi=1)")[0].loss == 0.01
    assert load_profile("docsis(up=20)")[1].rate == 20e6


def test_rain_takes_rate_then_bursts_then_everything():
    clear, rain, storm, flood = (load_profile(f"microwave(rain={mm})")[0] for mm in (0, 40, 62, 200))
    assert clear.rate == pytest.approx(343.168e6)
    assert rain.rate == pytest.approx(214.48e6)
    assert (clear.burst, rain.burst, clear.loss, rain.loss) == (None, None, 0, 0)
    assert storm.burst is not None
    assert flood.loss == 1.0


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("microwve", "no link profile called 'microwve'; did you mean 'microwave'"),
        ("microwave(gHz=18)", "'gHz=18': expected NAME=VALUE, as in fibre"),
        ("microwave(kms=18)", "microwave has no parameter 'kms'; did you mean 'km'"),
        ("microwave(km=500)", "km=500: expected a number from 0.1 to 60 km"),
        ("microwave(km=nan)", "km=nan: expected a number from 0.1 to 60 km"),
        ("microwave(polarisation=x)", "polarisation=x: expected one of h, v"),
        ("microwave(18)", "'18': expected NAME=VALUE"),
        ("lte(km=1)", "lte has no parameter 'km' .it has: none."),
        ("fibre(km=80", "expected a link profile such as fibre"),
        ("../lte", "expected a link profile such as"),
    ],
)
def test_a_wrong_call_says_what_is_right(call, expected):
    with pytest.raises(BadInput, match=expected):
        load_profile(call)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("impairment: {delay: = kmetre*us}\nparameters: {kmeter: {default: 1}}",
         "mine.yaml:3:21: impairment.delay: .*unknown name 'kmetre'; did you mean 'kmeter'"),
        ("impairment: {delay: = sine(1)}", "mine.yaml:3:21: .*unknown function 'sine'; did you mean 'sin'"),
        ("impairment: {delay: = 1/0}", "mine.yaml:3:21: .*division by zero"),
        ("impairment: {delay: = 1 +}", "mine.yaml:3:21: impairment.delay"),
        ("impairment: {delay: = -1*ms}", "mine.yaml:3:21: impairment.delay: .*not negative"),
        ("impairment: {delay: = __import__('os').getpid()}", "mine.yaml:3:21: impairment.delay"),
        ("impairment: {delay: = ms.hex}", "mine.yaml:3:21: impairment.delay: .*Attribute is not available"),
        ("impairment: {delay: '= (1.0).as_integer_ratio()[0]'}", "mine.yaml:3:21: impairment.delay"),
        ("impairment: {delay: \"= rain_fade(18, 1, 5, 'x')\"}", "mine.yaml:3:21: impairment.delay: .*'x'"),
        ("impairment: {delay: = 9**9**9}", "mine.yaml:3:21: impairment.delay"),
        ("impairment: {delay: = " + "-" * 2000 + "1}", "mine.yaml:3:21: impairment.delay"),
        ("impairment: {dealy: 1ms}", "mine.yaml:3:14: impairment.dealy: .*did you mean 'delay'"),
        ("let: {a: b}\nimpairment: {delay: = a*ms}", "mine.yaml:3:10: let.a: .*unknown name 'b'"),
        ("impairments: {}", "mine.yaml:3:1: impairments: unknown key; did you mean 'impairment'"),
        ("parameters: {km: {most: 3}}", "mine.yaml:3:18: parameters.km: expected a default"),
        ("parameters: {km: {default: 5, most: 3}}", "km.default: value 5: expected a number from -inf to 3"),
        ("parameters: {km: {default: 5, most: far}}", "mine.yaml:3:37: parameters.km.most: value 'far': expected"),
        ("parameters: [km]", "mine.yaml:3:13: parameters: expected a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_profile_is_told_with_its_place(mine, text, expected):
    with pytest.raises(BadInput, match=expected):
        load_profile("mine", mine(text))


def test_a_profile_says_what_it_is_and_where_it_comes_from(tmp_path):
    (tmp_path / "netem_profiles").mkdir()
    (tmp_path / "netem_profiles" / "mine.yaml").write_text("about: Mine.\nimpairment: {delay: 1ms}\n")
    with pytest.raises(BadInput, match=r"mine\.yaml:1:1: source: expected text"):
        load_profile("mine", tmp_path)


def test_an_edited_profile_is_read_again(mine):
    assert load_profile("mine", mine("impairment: {delay: 1ms}"))[0].delay == 0.001
    assert load_profile("mine", mine("impairment: {delay: 2ms  }"))[0].delay == 0.002


def test_the_users_own_folder_adds_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    user_folder().mkdir(parents=True)
    (user_folder() / "attic.yaml").write_text(f"{AROUND}impairment: {{delay: 3ms}}\n")
    assert "attic" in profile_names()
    assert load_profile("attic")[0] == Impairment(delay=0.003)
