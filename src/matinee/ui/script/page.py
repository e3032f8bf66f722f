"""What Streamlit runs. It puts this script's folder on `sys.path`, so the folder holds nothing else to import."""

from matinee.ui.app import main

main()
