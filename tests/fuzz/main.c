/* Runs a fuzz target over stored inputs: files, or all files of a folder. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1024L * 1024)
#define PATH_MAX_ 4096

static unsigned runs;

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	long size = -1;
	int ok = 0;

	if (f != NULL && fseek(f, 0, SEEK_END) == 0)
		size = ftell(f);
	if (size >= 0 && size <= INPUT_MAX && fseek(f, 0, SEEK_SET) == 0)
		data = malloc(size > 0 ? (size_t)size : 1);
	if (data != NULL && fread(data, 1, (size_t)size, f) == (size_t)size) {
		(void)LLVMFuzzerTestOneInput(data, (size_t)size);
		runs++;
		ok = 1;
	}
	free(data);
	if (f != NULL)
		(void)fclose(f);
	if (!ok)
		(void)fprintf(stderr, "%s: cannot be read\n", path);
	return ok;
}

static int run_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int ok = 1;

	if (dir == NULL) {
		(void)fprintf(stderr, "%s: cannot be read\n", path);
		return 0;
	}
	while (ok && (e = readdir(dir)) != NULL) {
		char file[PATH_MAX_];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		ok = run_file(file);
	}
	(void)closedir(dir);
	return ok;
}

int main(int argc, char **argv)
{
	int ok = 1;

	for (int i = 1; ok && i < argc; i++) {
		struct stat st;

		ok = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? run_folder(argv[i])
								    : run_file(argv[i]);
	}
	(void)printf("%s: %u inputs\n", argv[0], runs);
	return ok && runs > 0 ? 0 : 1; /* none at all means a wrong path */
}
