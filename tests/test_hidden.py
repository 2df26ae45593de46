"""What is said of an address holds nothing that opens it."""

import string

from hypothesis import given
from hypothesis import strategies as st

from adrs.hidden import Hidden, bare

WORDS = st.text(string.ascii_letters + string.digits, min_size=5, max_size=12)


@given(WORDS, WORDS, WORDS, WORDS)
def test_no_part_of_an_address_that_may_be_secret_is_left_in_a_text(
    user, password, token, key
):
    url = f"https://{user}:{password}@host.example:8443/v1?k={token}#{key}"
    said = f"cannot reach {url}; {password} and {key} of {user} with {token}"
    left = Hidden(url, [key]).out_of(said)
    assert not [part for part in (password, token, key, user) if part in left]


def test_an_address_is_still_told_and_honest_words_stay():
    url = "https://u:none@host.example/v1?a=api#x"
    assert bare(url) == Hidden(url, []).address == "https://host.example/v1"
    assert Hidden(url, ["none"]).out_of("none of the api's") == "none of the api's"
