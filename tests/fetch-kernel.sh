#!/usr/bin/env bash
# Put a kernel tree where the real-kernel tests find it. Called by `make kernel`.
#
#   fetch-kernel.sh VERSION DEST         unpack Debian's linux-source-VERSION into DEST
#   fetch-kernel.sh --use VERSION DIR    only check and say that DIR is used instead
#
# DEST appears complete or not at all, and is left alone when it is there.
set -euo pipefail

say() { printf '%s\n' "kernel: $*"; }
die() { printf '%s\n' "kernel: $*" >&2; exit 1; }

if [[ ${1-} == --use ]]; then
	version=$2 dir=$3
	[[ -d $dir/arch/arm64/kvm ]] || die "$dir is no kernel tree: it has no arch/arm64/kvm"
	say "using $dir as Linux $version; nothing was fetched (the tests expect findings of $version)"
	exit 0
fi

version=$1 dest=$2
package=linux-source-$version
if [[ -d $dest ]]; then
	say "Linux $version is in $dest already"
	exit 0
fi

own='give a tree that you have: make kernel KERNEL=dir'
for tool in apt-get apt-cache dpkg-deb tar xz; do
	command -v "$tool" >/dev/null || die "no $tool here, so $package can't be fetched; $own"
done

mkdir -p "$(dirname "$dest")"
# On the same file system as DEST, so that the last step is one rename.
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT

update() {
	[[ $EUID == 0 ]] || die "the package lists don't know $package; run 'apt-get update' as root, or $own"
	apt-get -qq update >/dev/null || die "apt-get update failed; $own"
}
# Sandbox: without this apt warns that its own user can't write to the folder.
download() { (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package" </dev/null 2>"$work/log"); }

say "fetching $package (about 150 MB) ..."
# Not grep -q: it would end apt-cache early, and pipefail would call that a failure.
[[ -n $(apt-cache pkgnames "$package" | grep -x -- "$package") ]] || update
# A list that is out of date names a file that is gone: refresh it once.
download || { update; download; } || { cat "$work/log" >&2; die "can't fetch $package; $own"; }

say "unpacking ..."
mkdir "$work/tree"
dpkg-deb --fsys-tarfile "$work"/*.deb |
	tar -xO "./usr/src/$package.tar.xz" |
	xz -dc |
	tar -x -C "$work/tree" --strip-components=1 --wildcards --no-wildcards-match-slash \
		--exclude='*/arch/arm64/boot' --exclude='*/arch/arm64/crypto' \
		'*/.clang-format' '*/Makefile' '*/arch/arm64' '*/virt' \
		'*/include/kvm' '*/include/linux' '*/include/asm-generic' '*/include/uapi'
[[ -f $work/tree/arch/arm64/kvm/mmu.c ]] || die "$package has no arch/arm64/kvm/mmu.c"

chmod 755 "$work/tree"
# -T: never move into a folder that another run has made meanwhile.
mv -T "$work/tree" "$dest" 2>/dev/null || [[ -d $dest ]] || die "can't make $dest"
say "Linux $version is in $dest ($(du -sh "$dest" | cut -f1))"
