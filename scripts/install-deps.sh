#!/usr/bin/env bash
# Installs the Debian packages that a purpose needs, and only those that are missing.
#
#   scripts/install-deps.sh [build] [test] [full] [bench]
#
# A package counts as there when its command is, wherever it came from. With everything there, nothing
# is run as root.
set -euo pipefail

# command:package
declare -A needs=(
    [build]="cc:gcc make:make node:nodejs npm:npm"
    [test]="chromium-headless-shell:chromium-headless-shell initdb:postgresql ip:iproute2 git:git setpriv:util-linux turnutils_uclient:coturn sshd:openssh-server ssh:openssh-client curl:curl jq:jq dbus-daemon:dbus zstd:zstd img2simg:android-sdk-libsparse-utils openssl:openssl python3:python3-venv
        nginx:nginx-light vsftpd:vsftpd
        sway:sway wayvnc:wayvnc foot:foot wl-copy:wl-clipboard dbus-run-session:dbus gdbus:libglib2.0-bin Xvfb:xvfb x11vnc:x11vnc wish:tk Xtigervnc:tigervnc-standalone-server xclip:xclip dunst:dunst"
    [full]="turnserver:coturn chromium:chromium"
    [bench]="sshd:openssh-server ssh:openssh-client chromium:chromium sway:sway wayvnc:wayvnc foot:foot setpriv:util-linux websockify:websockify"
)

there() {
    command -v "$1" >/dev/null 2>&1 && return 0
    [ -x "/usr/sbin/$1" ] && return 0
    # Debian keeps PostgreSQL's programs beside each other by version, outside PATH.
    compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

missing=()
for purpose in "$@"; do
    for pair in ${needs[$purpose]:?"no such purpose: $purpose (build, test, full, bench)"}; do
        there "${pair%%:*}" || missing+=("${pair##*:}")
    done
done

if [ ${#missing[@]} -gt 0 ]; then
    echo "Installing: ${missing[*]}"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "This is not Debian. Install what provides these packages, then try again: ${missing[*]}" >&2
        exit 1
    fi
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is missing. Install Rust with rustup (https://rustup.rs); rust-toolchain.toml names the version." >&2
    exit 1
fi
if command -v node >/dev/null 2>&1 && [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" != true ]; then
    echo "Node.js $(node --version) is too old. Install version 20 or newer." >&2
    exit 1
fi
