"""What the local network sees: TLS by the site's own authority, mDNS."""
