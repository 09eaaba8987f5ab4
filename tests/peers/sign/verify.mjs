// Verifies sigstore bundles with the npm package @sigstore/verify, which is found in the directory that is the argument.
// Questions come as JSON on stdin, answers go to stdout: "verified", or why not.
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.argv[2]}/`);
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const noRoot = { tlogs: [], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] };

function answer({ bundle, file, key }) {
  const read = bundleFromJSON(JSON.parse(readFileSync(bundle, 'utf8')));
  const artifact = file ? readFileSync(file) : undefined;
  const publicKey = createPublicKey(readFileSync(key));
  const trust = toTrustMaterial(TrustedRoot.fromJSON(noRoot), () => ({ publicKey, validFor: () => true }));
  const none = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };
  new Verifier(trust, none).verify(toSignedEntity(read, artifact));
  return 'verified';
}

const answers = JSON.parse(readFileSync(0, 'utf8')).map((question) => {
  try {
    return answer(question);
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`;
  }
});
process.stdout.write(JSON.stringify(answers));
