"""What a server needs beside the graph: versions, warm-up requests, the set to start it with."""
