#!/bin/sh
# What `docker run -v FOLDER:/data` starts, as matrix-media-repo's image does: writes a sample configuration where there is none,
# gives /data to UID:GID, and serves as UID:GID (991:991 where they are not set), never as root unless UID=0 says so.
set -eu
cd "${DATA:-/data}"
uid=${UID:-991}
gid=${GID:-$uid}
sample=${SAMPLE:-/etc/media-repo.yaml.sample}

if [ ! -e "$REPO_CONFIG" ]; then
  (umask 077 && cp "$sample" "$REPO_CONFIG")
  [ "$(id -u)" -ne 0 ] || chown "$uid:$gid" "$REPO_CONFIG"
  echo "Wrote a sample configuration to $REPO_CONFIG: put in your homeserver, then start again."
fi
if [ "$(id -u)" -ne 0 ]; then
  exec media_repo "$@"
fi
# Once: walking through millions of files takes minutes. The folder itself comes last, so that what was broken off is done again.
if [ "$(stat -c %u:%g .)" != "$uid:$gid" ]; then
  find . -mindepth 1 \( ! -user "$uid" -o ! -group "$gid" \) -exec chown -h "$uid:$gid" {} +
  chown "$uid:$gid" .
fi
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs -- media_repo "$@"
