"""Each version's steps from the one before.  What has been released is not edited any more."""
