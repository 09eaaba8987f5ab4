# Verifies sigstore bundles that certificates made with the PyPI package sigstore. Questions come as JSON on stdin, answers
# go to stdout: "verified", or why not.
import json
import sys
from pathlib import Path

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity


def answer(question):
    bundle = Bundle.from_json(Path(question["bundle"]).read_bytes())
    verifier = Verifier(trusted_root=TrustedRoot.from_file(question["trustedRoot"]))
    policy = Identity(identity=question["identity"], issuer=question["issuer"])
    if "file" in question:
        verifier.verify_artifact(Path(question["file"]).read_bytes(), bundle, policy)
    else:
        verifier.verify_dsse(bundle, policy)
    return "verified"


answers = []
for question in json.load(sys.stdin):
    try:
        answers.append(answer(question))
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
json.dump(answers, sys.stdout)
