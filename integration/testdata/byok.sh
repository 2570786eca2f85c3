#!/bin/sh
# Makes and wraps key material with OpenSSL 3, as owners of keys do it on their side.
#
#   byok.sh generate KEY_SPEC             makes PlaintextKeyMaterial.bin
#   byok.sh wrap WRAPPING_ALGORITHM       makes EncryptedKeyMaterial.bin of it, with WrappingPublicKey.bin
#
# Files are in the current directory. For trying out: real material comes from an HSM.
set -eu

# hex prints a file as hexadecimal digits.
hex() {
  if command -v xxd >/dev/null; then
    xxd -p <"$1" | tr -d '\n'
  else
    od -An -v -tx1 <"$1" | tr -d ' \n'
  fi
}

# private makes a PKCS #8 private key in DER.
private() {
  openssl genpkey "$@" 2>/dev/null | openssl pkcs8 -topk8 -outform der -nocrypt >PlaintextKeyMaterial.bin
}

generate() {
  case $1 in
    SYMMETRIC_DEFAULT) openssl rand -out PlaintextKeyMaterial.bin 32 ;;
    HMAC_224) openssl rand -out PlaintextKeyMaterial.bin 28 ;;
    HMAC_256) openssl rand -out PlaintextKeyMaterial.bin 32 ;;
    HMAC_384) openssl rand -out PlaintextKeyMaterial.bin 48 ;;
    HMAC_512) openssl rand -out PlaintextKeyMaterial.bin 64 ;;
    RSA_2048) private -algorithm rsa -pkeyopt rsa_keygen_bits:2048 ;;
    RSA_3072) private -algorithm rsa -pkeyopt rsa_keygen_bits:3072 ;;
    RSA_4096) private -algorithm rsa -pkeyopt rsa_keygen_bits:4096 ;;
    ECC_NIST_P256) private -algorithm ec -pkeyopt ec_paramgen_curve:P-256 ;;
    ECC_NIST_P384) private -algorithm ec -pkeyopt ec_paramgen_curve:P-384 ;;
    ECC_NIST_P521) private -algorithm ec -pkeyopt ec_paramgen_curve:P-521 ;;
    ECC_SECG_P256K1) private -algorithm ec -pkeyopt ec_paramgen_curve:secp256k1 ;;
    ECC_NIST_EDWARDS25519) private -algorithm ed25519 ;;
    *) echo "byok.sh: no recipe for key spec $1" >&2; exit 2 ;;
  esac
}

# oaep encrypts a file under the wrapping key: oaep IN OUT OPTIONS...
oaep() {
  in=$1 out=$2
  shift 2
  openssl pkeyutl -encrypt -in "$in" -out "$out" -inkey WrappingPublicKey.bin -keyform DER -pubin \
    -pkeyopt rsa_padding_mode:oaep "$@"
}

# hybrid wraps the material under a fresh AES key and that under the wrapping key: RSA block first.
hybrid() {
  openssl rand -out aes-key.bin 32
  openssl enc -id-aes256-wrap-pad -K "$(hex aes-key.bin)" -iv A65959A6 -in PlaintextKeyMaterial.bin -out key-material-wrapped.bin
  oaep aes-key.bin aes-key-wrapped.bin -pkeyopt "rsa_oaep_md:$1" -pkeyopt "rsa_mgf1_md:$1"
  cat aes-key-wrapped.bin key-material-wrapped.bin >EncryptedKeyMaterial.bin
}

wrap() {
  case $1 in
    RSAES_OAEP_SHA_1) oaep PlaintextKeyMaterial.bin EncryptedKeyMaterial.bin -pkeyopt rsa_oaep_md:sha1 ;;
    RSAES_OAEP_SHA_256)
      oaep PlaintextKeyMaterial.bin EncryptedKeyMaterial.bin -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 ;;
    RSA_AES_KEY_WRAP_SHA_1) hybrid sha1 ;;
    RSA_AES_KEY_WRAP_SHA_256) hybrid sha256 ;;
    *) echo "byok.sh: no recipe for wrapping algorithm $1" >&2; exit 2 ;;
  esac
}

case ${1:-} in
  generate) generate "$2" ;;
  wrap) wrap "$2" ;;
  *) echo "usage: byok.sh generate KEY_SPEC | wrap WRAPPING_ALGORITHM" >&2; exit 2 ;;
esac
