# For the scripts that fetch what tests need: $wanted says what that is.

# have COMMAND PACKAGE: on Debian, installs what is missing; elsewhere, says what is.
have() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q >/dev/null && apt-get install -qy --no-install-recommends "$2" >/dev/null && return
    fi
    echo "$1 is not installed, and $wanted cannot be fetched without it (Debian: apt install $2)" >&2
    exit 1
}
