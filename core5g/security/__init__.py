"""Who is who and what is secret in 5GS: authentication, keys, ciphers, concealed identities (3GPP TS 33.501)."""
