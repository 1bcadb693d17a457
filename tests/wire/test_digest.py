import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvr.wire.digest import (
    Answer,
    Challenge,
    Counter,
    Login,
    Nonces,
    challenges,
    ha1,
    parameters,
    strongest,
)

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC7616 = f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={{}}, nonce="{NONCE}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'  # noqa: E501 - one header
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm, response):
    login = Login("Mufasa", "Circle of Life")
    assert login.challenged([RFC7616.format(algorithm)])
    header = login.authorization("GET", "/dir/index.html", CNONCE)
    assert f'response="{response}"' in header
    assert "nc=00000001" in header


def test_the_example_of_rfc_2617_with_and_without_qop():
    login = Login("Mufasa", "Circle Of Life")
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    login.challenged([challenge + ', qop="auth,auth-int"'])
    header = login.authorization("GET", "/dir/index.html", "0a4f113b")
    assert 'response="6629fae49393a05397450978507c4ef1"' in header
    # Older cameras offer no qop: then the hash is over the nonce alone. HA1 and HA2 are the RFC's.
    login = Login("Mufasa", "Circle Of Life")
    login.challenged([challenge])
    header = login.authorization("GET", "/dir/index.html", "x")
    text = (
        "939e7578ed9e3c518a452acee763bce9:dcd98b7102dd2f0e8b11d0f600bfb0c093"
        ":39aff3a2bab6126f332b942af96d3366"
    )
    assert f'response="{hashlib.md5(text.encode()).hexdigest()}"' in header
    assert "qop" not in header
    assert "algorithm" not in header


def test_the_strongest_challenge_is_answered_and_basic_never_beats_digest():
    offers = ['Basic realm="x"', *challenges("box", "n")]
    assert strongest(reversed(offers)).algorithm == "SHA-256"
    assert strongest(['Basic realm="x"', 'Digest realm="x", nonce="n"']).scheme == "digest"
    assert strongest(['Digest realm="x", nonce="n", algorithm=MD4', "Bearer", ""]) is None


def test_basic_is_answered_where_nothing_else_is_offered():
    login = Login("Aladdin", "open sesame")
    assert login.challenged(['Basic realm="WallyWorld"'])
    assert login.authorization("GET", "/", "x") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_a_refused_password_is_not_sent_again_but_an_old_nonce_is_replaced():
    login = Login("a", "b")
    assert login.challenged(['Digest realm="r", nonce="1"'])
    assert not login.challenged(['Digest realm="r", nonce="2"'])
    login = Login("a", "b")
    login.challenged(['Digest realm="r", nonce="1"'])
    assert login.challenged(['Digest realm="r", nonce="2", stale=TRUE'])
    login.accepted()
    assert login.challenged(['Digest realm="r", nonce="3"'])
    assert login.challenged(['Digest realm="r", nonce="4", stale=true'])
    assert login.challenged(['Digest realm="r", nonce="5", stale=true'])
    assert not login.challenged(['Digest realm="r", nonce="6", stale=true'])


def test_a_password_shows_in_no_representation():
    assert "geheim" not in repr(Login("user", "geheim"))


@given(st.text(min_size=1, max_size=20), st.text(max_size=20), st.sampled_from([0, 1]))
def test_what_our_client_answers_our_server_takes(user, password, which):
    login = Login(user, password)
    login.challenged([challenges("box", "nonce")[which]])
    answer = Answer.parse(login.authorization("PLAY", "rtsp://h:8554/cam/东门", "cn"))
    assert answer.user == user
    secret = ha1(user, "box", password, answer.algorithm)
    assert answer.proves(secret, "box", "PLAY", "rtsp://h:8554/cam/东门")
    assert not answer.proves(secret, "box", "SETUP", "rtsp://h:8554/cam/东门")
    assert not answer.proves(secret, "box", "PLAY", "rtsp://h:8554/cam/other")
    assert not answer.proves(secret[::-1] + "0", "box", "PLAY", "rtsp://h:8554/cam/东门")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_an_answer_that_does_not_name_its_algorithm_is_known_by_its_length(algorithm):
    login = Login("u", "p")
    assert login.challenged([f'Digest realm="r", nonce="n", algorithm={algorithm}'])
    said = login.authorization("PLAY", "rtsp://x", "c").replace(f", algorithm={algorithm}", "")
    assert "algorithm" not in said
    answer = Answer.parse(said)
    assert answer.algorithm == algorithm
    assert answer.proves(ha1("u", "r", "p", algorithm), "r", "PLAY", "rtsp://x")


def test_sm3_is_answered_where_it_is_asked_for_and_never_taken():
    offers = [
        'Digest realm="r", nonce="n", algorithm=MD5',
        'Digest realm="r",nonce="n",algorithm="SM3"',
    ]
    login = Login("u", "p")
    assert login.challenged(offers)
    said = login.authorization("REGISTER", "sip:x", "c")

    def sm3(text):
        return hashlib.new("sm3", text.encode()).hexdigest()

    assert sm3("abc").startswith("66c7f0f462eeedd9"), "the example of GB/T 32905"
    right = sm3(f"{sm3('u:r:p')}:n:{sm3('REGISTER:sip:x')}")
    assert parameters(said.partition(" ")[2])["response"] == right
    assert "algorithm=SM3" in said
    assert Answer.parse(said) is None, "a server of ours did not offer it"
    assert (
        strongest([*offers, 'Digest realm="r", nonce="n", algorithm=SHA-256']).algorithm
        == "SHA-256"
    )


def test_session_variants_are_answered():
    login = Login("u", "p")
    login.challenged(['Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth"'])
    header = login.authorization("PLAY", "x", "cn")
    assert "algorithm=MD5-sess" in header
    plain = Login("u", "p")
    plain.challenged(['Digest realm="r", nonce="n", algorithm=MD5, qop="auth"'])
    word = parameters(header.partition(" ")[2])["response"]
    assert word != parameters(plain.authorization("PLAY", "x", "cn").partition(" ")[2])["response"]


def test_nonces_prove_their_age_and_origin():
    nonces = Nonces(bytes(32))
    nonce = nonces.make(1000.0, b"12345678")
    assert nonces.age_s(nonce, 1010.0) == 10.0
    assert Nonces(b"x" * 32).age_s(nonce, 1010.0) is None
    for bad in ("", ".", "..", nonce[:-1], "f" + nonce, nonce + "0"):
        assert nonces.age_s(bad, 1010.0) is None


def answer(count, nonce="n"):
    qop = f', qop=auth, cnonce="c", nc={count:08x}' if count else ""
    return Answer.parse(f'Digest username="u", nonce="{nonce}", uri="x", response="0"{qop}')


def test_a_recorded_request_is_no_use_a_second_time_or_elsewhere():
    counter = Counter()
    assert not counter.take(answer(1))
    counter.issued("n")
    assert counter.take(answer(1))
    assert not counter.take(answer(1))
    assert counter.take(answer(5))
    assert not counter.take(answer(4))
    assert not counter.take(answer(0)), "a client that counted does not stop counting"
    for number in range(9):
        counter.issued(str(number))
    assert not counter.take(answer(6))


@given(st.text(max_size=120))
def test_no_header_is_too_strange(text):
    parameters(text)
    Challenge.parse(text)
    Challenge.parse("Digest " + text)
    Answer.parse("Digest " + text)
