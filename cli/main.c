#include <openssl/crypto.h>
#include <sys/resource.h>

#include "cli/command.h"

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };

	/* A core file would hold the keys (failure-modes T14). */
	(void)setrlimit(RLIMIT_CORE, &none);
	/* OpenSSL's texts for its errors are never shown here: each kind of failure has ours.
	 * Loading them would take 0.4 MB. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS, NULL);
	return cli_main(argc, argv);
}
