"""The pages: what a person sees in a browser, Chinese first, English beside it. No script is needed to read them."""
