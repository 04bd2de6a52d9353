from affectd.train.silence import utterances_an_hour


def test_silence_and_faint_hiss_are_not_heard_but_loud_hiss_is() -> None:
    heard = utterances_an_hour(minutes=1)
    assert heard["digital silence"] == heard["hiss at -60 dBFS"] == 0
    assert heard["hiss at -20 dBFS"] > 0
