#include <stdio.h>

int main(void)
{
	(void)fputs("kmsbeacon: no command yet\n", stderr);
	return 2;
}
