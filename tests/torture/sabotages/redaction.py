"""Secrets that reach the disk, and texts that are spoiled for looking like one."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="a hook does not redact",
        breaks="a secret in a payload reaches the store",
        file="collect/hook.py",
        old="        return self._redacted if suspicious(text) else lambda value: value",
        new="        return self._redacted if suspicious(text[:256]) else lambda value: value",
        test="""\
tests/test_hook_broken.py::test_a_secret_is_gone_before_the_first_byte_is_written[spool-escaped]""",
    ),
    Sabotage(
        name="redaction off by any false word",
        breaks="a setting that does not say off switches redaction off",
        file="collect/redact.py",
        old='    return environ.get(SETTING) != "off"',
        new='    return environ.get(SETTING, "on").lower() not in ("off", "0", "false", "")',
        test="tests/test_redact.py::test_only_the_word_off_switches_redaction_off",
    ),
    Sabotage(
        name="names of members are not looked at",
        breaks="a secret that is the value of a telling key stays",
        file="collect/redact.py",
        old='            (target[shown],), hits = _scrub([value], f"{lead}{_PAIR}", key)',
        new='            (target[shown],), hits = _scrub([value], "", key)',
        test="tests/test_redact.py::test_the_name_of_a_member_tells_what_its_value_is",
    ),
    Sabotage(
        name="keys of objects are not redacted",
        breaks="a secret in the key of an object stays",
        file="collect/redact.py",
        old="""\
        (base,), hits = _scrub([name], "", key)
        count += hits""",
        new="""\
        base, hits = name, 0
        count += hits""",
        test="tests/test_redact.py::test_two_keys_that_become_equal_are_both_kept",
    ),
    Sabotage(
        name="lines of a list one by one",
        breaks="a private key that runs over the lines of a list stays",
        file="collect/redact.py",
        old="""\
    texts, count = _scrub(texts, "", key)
    lines = iter(texts)""",
        new="""\
    scrubbed = [_scrub([text], "", key) for text in texts]
    texts = [parts[0] for parts, _ in scrubbed]
    count = sum(hits for _, hits in scrubbed)
    lines = iter(texts)""",
        test="tests/test_redact.py::test_the_name_of_a_member_tells_what_its_value_is",
    ),
    Sabotage(
        name="escapes are not resolved",
        breaks="a secret behind an escape of JSON stays",
        file="collect/redact.py",
        old="    return any(True for _ in found(unescaped(text)[0]))",
        new="    return any(True for _ in found(text))",
        test="""\
tests/test_redact_escapes.py::test_a_secret_behind_escapes_is_found_at_any_depth[0-https:\\\\/\\\\/deploy:Tr0ub4dorX9@git.example.com\\\\/x]""",
    ),
    Sabotage(
        name="placeholders without a key",
        breaks="whoever reads a placeholder can try out guesses of the secret",
        file="collect/redact.py",
        old="            digits = blake2b(data, digest_size=6, key=key).hexdigest()",
        new="            digits = blake2b(data, digest_size=6).hexdigest()",
        test="tests/test_redact.py::test_the_same_secret_has_the_same_placeholder_under_one_key",
    ),
    Sabotage(
        name="a key for each process",
        breaks="the same secret has another placeholder in each record",
        file="collect/redact.py",
        old="""\
                create(path, os.urandom(KEY_SIZE), sync=True)
            except FileExistsError:
                continue""",
        new="""\
                create(path, os.urandom(KEY_SIZE), sync=True)
            except FileExistsError:
                return os.urandom(KEY_SIZE)""",
        test="tests/test_redact.py::test_who_comes_second_takes_the_key_that_is_there",
    ),
    Sabotage(
        name="what cannot be mapped is stored as it came",
        breaks="a payload that the mapping fails on reaches the store with its secrets",
        file="collect/hook.py",
        old='            data["raw"] = redact(text) if redact else text',
        new='            data["raw"] = text',
        test="""\
tests/test_hook_broken.py::test_a_payload_that_cannot_be_mapped_keeps_no_secret[collect.claude_code]""",
    ),
    Sabotage(
        name="the log of faults quotes logins",
        breaks="the log of faults holds a password that stood in the name of a store",
        file="collect/faults.py",
        old='        return _redacted(f"{name}: {error}", name)',
        new='        return f"{name}: {error}"',
        test="tests/test_redact_values.py::test_the_log_of_faults_holds_no_login",
    ),
    Sabotage(
        name="the log of faults quotes payloads",
        breaks="the log of faults quotes what was to be stored",
        file="collect/faults.py",
        old="""\
        return _redacted(f"{name}: {error.strerror}: {error.filename}", name)
    return name""",
        new="""\
        return _redacted(f"{name}: {error.strerror}: {error.filename}", name)
    return f"{name}: {error}\"""",
        test="tests/test_hook_broken.py::test_the_log_keeps_the_last_faults_and_no_payload",
    ),
    Sabotage(
        name="a torn line is imported with its secrets",
        breaks="a line that no record can hold is kept as text without being redacted",
        file="collect/importing.py",
        old="        return [recording.transcript.raw(clean(entry.text), reason, moment)]",
        new="        return [recording.transcript.raw(entry.text, reason, moment)]",
        test="""\
tests/test_import.py::test_a_line_that_is_kept_as_text_keeps_no_secret[{"type": "user", "n": NaN, \
"s": "%s"}]""",
    ),
    Sabotage(
        name="two keys become one",
        breaks="of two members whose keys are redacted alike one is lost",
        file="collect/redact.py",
        old="        while shown in target or (shown != name and shown in source):",
        new="        while shown != name and shown in target:",
        test="tests/test_redact.py::test_two_keys_that_become_equal_are_both_kept",
    ),
)
